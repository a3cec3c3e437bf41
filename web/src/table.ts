// Rows as a table shows and a file keeps them: filtered, sorted, exact.

import { compare, decimal } from './decimal';
import { csv } from './csv';
import { utc } from './text';

export interface Column<T> {
  key: string;
  name: string;
  kind: 'text' | 'number' | 'time';
  /** As it was sent: for sorting, searching and files. */
  value: (row: T) => string;
}

export interface Sort {
  key: string;
  down: boolean;
}

/** The rows that hold every word, in this order; what cannot be compared comes last. */
export function arrange<T>(rows: readonly T[], columns: readonly Column<T>[], sort: Sort | undefined, words: string): T[] {
  const wanted = words.toLowerCase().split(/\s+/).filter((word) => word !== '');
  const holds = (row: T) => {
    const text = columns.map((column) => column.value(row)).join('\n').toLowerCase();
    return wanted.every((word) => text.includes(word));
  };
  const found = wanted.length === 0 ? [...rows] : rows.filter(holds);
  const column = sort && columns.find(({ key }) => key === sort.key);
  if (!column) return found;
  const by = column.kind === 'text' ? byText(column) : byNumber(column);
  return found.sort((a, b) => by(a, b, sort.down ? -1 : 1));
}

function byText<T>(column: Column<T>) {
  return (a: T, b: T, sign: number) => {
    const [x, y] = [column.value(a), column.value(b)];
    return x === y ? 0 : x === '' ? 1 : y === '' ? -1 : sign * (x < y ? -1 : 1);
  };
}

function byNumber<T>(column: Column<T>) {
  return (a: T, b: T, sign: number) => {
    const [x, y] = [decimal(column.value(a)), decimal(column.value(b))];
    return x && y ? sign * compare(x, y) : x ? -1 : y ? 1 : 0;
  };
}

/** Numbers with all their digits, times in UTC to the nanosecond. */
export function tableCsv<T>(rows: readonly T[], columns: readonly Column<T>[]): string {
  const head = columns.map(({ name, kind }) => (kind === 'time' ? `${name} (UTC)` : name));
  const cells = (row: T) => columns.map(({ kind, value }) => (kind === 'time' ? utc(value(row)) : value(row)));
  return csv(head, rows.map(cells));
}
