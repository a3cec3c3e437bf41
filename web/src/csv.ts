// Tables as CSV (RFC 4180): every digit as it was sent, and no cell that a spreadsheet would run.

/** Spreadsheets take a cell that starts with one of these for a formula. */
const FORMULA = /^[\s]*[=+\-@\t\r|%]/;
const NUMBER = /^-?\d+(\.\d+)?$/;

function cell(text: string): string {
  const safe = FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

export function csv(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, ...rows].map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

/** Gives the browser a file to keep. */
export function download(name: string, text: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'text/csv;charset=utf-8' }));
  link.download = name;
  link.click();
  // After the click has been taken.
  setTimeout(() => URL.revokeObjectURL(link.href), 0);
}
