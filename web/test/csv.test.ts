import { describe, expect, it } from 'vitest';
import { csv } from '../src/csv';
import { arrange, tableCsv, type Column } from '../src/table';

describe('files', () => {
  it('keep every digit, and quote what needs it', () => {
    expect(csv(['a', 'b'], [['123456789012345678.00000001', 'x,y'], ['-0.5', 'say "hi"\n']])).toBe(
      'a,b\r\n123456789012345678.00000001,"x,y"\r\n-0.5,"say ""hi""\n"\r\n',
    );
  });
  for (const evil of ['=1+1', '+cmd', '-2+3', '@SUM(A1)', '\t=1', '\r=1', ' =1', '|x', '%x']) {
    it(`make no formula of ${JSON.stringify(evil)}`, () => {
      expect(csv(['a'], [[evil]]).split('\r\n').slice(1).join('\r\n')).toMatch(/^"?'/);
    });
  }
});

interface Row {
  id: string;
  price: string;
  at: string;
}
const COLUMNS: Column<Row>[] = [
  { key: 'id', name: 'Id', kind: 'text', value: (row) => row.id },
  { key: 'price', name: 'Price', kind: 'number', value: (row) => row.price },
  { key: 'at', name: 'Time', kind: 'time', value: (row) => row.at },
];
const ROWS: Row[] = [
  { id: 'b', price: '9.5', at: '1704067200000000001' },
  { id: 'a', price: '10.25', at: '1704067200000000003' },
  { id: 'c', price: '', at: '1704067200000000002' },
  { id: 'd', price: '9.50000000000000000001', at: '' },
];
const ids = (rows: Row[]) => rows.map((row) => row.id).join('');

describe('tables', () => {
  it('sort numbers as numbers, with what has none last', () => {
    expect(ids(arrange(ROWS, COLUMNS, { key: 'price', down: false }, ''))).toBe('bdac');
    expect(ids(arrange(ROWS, COLUMNS, { key: 'price', down: true }, ''))).toBe('adbc');
    expect(ids(arrange(ROWS, COLUMNS, { key: 'at', down: true }, ''))).toBe('acbd');
    expect(ids(arrange(ROWS, COLUMNS, { key: 'id', down: false }, ''))).toBe('abcd');
    expect(ids(arrange(ROWS, COLUMNS, undefined, ''))).toBe('bacd');
  });
  it('keep the rows that hold every word', () => {
    expect(ids(arrange(ROWS, COLUMNS, undefined, '9.5'))).toBe('bd');
    expect(ids(arrange(ROWS, COLUMNS, undefined, 'D 9.5'))).toBe('d');
    expect(ids(arrange(ROWS, COLUMNS, undefined, 'none'))).toBe('');
  });
  it('save times in UTC to the nanosecond', () => {
    expect(tableCsv(ROWS.slice(0, 1), COLUMNS)).toBe('Id,Price,Time (UTC)\r\nb,9.5,2024-01-01T00:00:00.000000001Z\r\n');
  });
});
