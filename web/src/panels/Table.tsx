// A table of any length: only the rows in view are drawn. Its head sorts.

import { signal, type Signal } from '@preact/signals';
import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import type { Column, Sort } from '../table';

export const ROW_PX = 25;
const SPARE_ROWS = 6;

export interface Shown<T> extends Column<T> {
  show?: (row: T) => ComponentChildren;
  class?: (row: T) => string;
  /** On hover, and for those who cannot see the cell whole. */
  title?: (row: T) => string;
}

export interface TableProps<T> {
  id: string;
  label: string;
  columns: readonly Shown<T>[];
  rows: readonly T[];
  keyOf: (row: T) => string | number;
  empty: string;
  sort?: Signal<Sort | undefined>;
  /** Buttons at a row's end. */
  actions?: (row: T) => ComponentChildren;
  rowProps?: (row: T) => Record<string, unknown>;
  onScroll?: (top: number) => void;
  /** The number of a row to bring into view, when it changes. */
  showRow?: number | undefined;
}

export function Table<T>(props: TableProps<T>) {
  const { id, label, columns, rows, keyOf, empty, sort, actions, rowProps } = props;
  const place = useRef<HTMLDivElement>(null);
  const [view, setView] = useState({ top: 0, height: 400 });
  const look = () => {
    const { scrollTop = 0, clientHeight = 0 } = place.current ?? {};
    setView((was) => (was.top === scrollTop && was.height === clientHeight ? was : { top: scrollTop, height: clientHeight }));
    props.onScroll?.(scrollTop);
  };
  useLayoutEffect(() => {
    if (!place.current) return undefined;
    const observer = new ResizeObserver(look);
    observer.observe(place.current);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (props.showRow !== undefined) place.current?.scrollTo({ top: props.showRow * ROW_PX - view.height / 2 });
  }, [props.showRow]);
  const first = Math.max(0, Math.min(Math.floor(view.top / ROW_PX), rows.length) - SPARE_ROWS);
  const last = Math.min(rows.length, Math.ceil((view.top + view.height) / ROW_PX) + SPARE_ROWS);
  const width = columns.length + (actions ? 1 : 0);
  return (
    <div class="scroll" ref={place} onScroll={look} tabIndex={0} role="group" aria-label={label}>
      <table id={id} aria-label={label} aria-rowcount={rows.length + 1}>
        <thead>
          <tr>
            {columns.map((column) => <Head key={column.key} column={column} sort={sort} />)}
            {actions ? <th scope="col" class="act"><span class="hidden">Actions</span></th> : null}
          </tr>
        </thead>
        <tbody>
          {rows.length === 0 ? <tr class="empty"><td colSpan={width}><p>{empty}</p></td></tr> : null}
          <Space rows={first} width={width} />
          {rows.slice(first, last).map((row, i) => (
            <tr key={keyOf(row)} aria-rowindex={first + i + 2} {...rowProps?.(row)}>
              {columns.map((column) => (
                <td key={column.key} class={`${column.kind === 'number' ? 'n' : `c-${column.key}`} ${column.class?.(row) ?? ''}`} title={column.title?.(row)}>
                  {column.show ? column.show(row) : column.value(row)}
                </td>
              ))}
              {actions ? <td class="act">{actions(row)}</td> : null}
            </tr>
          ))}
          <Space rows={rows.length - last} width={width} />
        </tbody>
      </table>
    </div>
  );
}

/** Stands for rows that are not drawn. */
function Space({ rows, width }: { rows: number; width: number }) {
  return rows > 0 ? <tr class="space" aria-hidden="true" style={{ height: `${rows * ROW_PX}px` }}><td colSpan={width} /></tr> : null;
}

function Head<T>({ column, sort }: { column: Shown<T>; sort: Signal<Sort | undefined> | undefined }) {
  const side = column.kind === 'number' ? 'n' : `c-${column.key}`;
  if (!sort) return <th scope="col" class={side}>{column.name}</th>;
  const now = sort.value?.key === column.key ? sort.value : undefined;
  const turn = () => {
    // Numbers and times: the largest first; a third press goes back to how they came.
    const first = column.kind !== 'text';
    sort.value = !now ? { key: column.key, down: first } : now.down === first ? { key: column.key, down: !first } : undefined;
  };
  return (
    <th scope="col" class={side} aria-sort={now ? (now.down ? 'descending' : 'ascending') : 'none'}>
      <button class="sort" onClick={turn}>{column.name}<span aria-hidden="true">{now ? (now.down ? ' ▾' : ' ▴') : ''}</span></button>
    </th>
  );
}

export function sorting(): Signal<Sort | undefined> {
  return signal<Sort | undefined>(undefined);
}

