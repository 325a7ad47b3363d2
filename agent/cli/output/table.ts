/** Left-aligned columns, three spaces apart, as kubectl prints them. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = columnWidths([header, ...rows]);
  return [header, ...rows].map((row) => renderRow(row, widths)).join('');
}

export function columnWidths(rows: readonly (readonly string[])[]): number[] {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  return Array.from({ length: columns }, (_, column) => Math.max(0, ...rows.map((row) => (row[column] ?? '').length)));
}

/** The widths that have room for one more row: a table that goes on does not jump back. */
export function widened(widths: readonly number[], row: readonly string[]): number[] {
  const own = columnWidths([row]);
  return Array.from({ length: Math.max(widths.length, own.length) }, (_, column) =>
    Math.max(widths[column] ?? 0, own[column] ?? 0),
  );
}

/** One row in the widths of an earlier table: lines that come later stay below their headings. */
export function renderRow(row: readonly string[], widths: readonly number[]): string {
  const cells = row.map((cell, column) => cell.padEnd(widths[column] ?? 0));
  return `${cells.join('   ').trimEnd()}\n`;
}

/** Without the first row, for `--no-headers`. */
export function renderRows(rows: readonly (readonly string[])[]): string {
  const widths = columnWidths(rows);
  return rows.map((row) => renderRow(row, widths)).join('');
}

/** A table, without its headings for `--no-headers`. */
export const tableText = (header: readonly string[], rows: readonly (readonly string[])[], headers = true): string =>
  headers ? renderTable(header, rows) : renderRows(rows);

export function oneLine(text: string, longest = 100): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length > longest ? `${line.slice(0, longest - 3)}...` : line;
}
