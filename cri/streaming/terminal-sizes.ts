import type { Readable } from 'node:stream';
import type { TerminalSize } from '../contract/streaming-service.js';

const maxPendingBytes = 4096;

/** Reads the resize stream: JSON objects `{"Width":80,"Height":24}` one after another. */
export async function* readTerminalSizes(stream: Readable): AsyncGenerator<TerminalSize> {
  let pending = '';
  for await (const chunk of stream) {
    pending += (chunk as Buffer).toString('utf8');
    const complete = pending.split('}');
    pending = complete.pop() ?? '';
    for (const text of complete) {
      const size = parseSize(`${text}}`);
      if (size !== undefined) yield size;
    }
    if (pending.length > maxPendingBytes) return;
  }
}

export function encodeTerminalSize(size: TerminalSize): string {
  return `${JSON.stringify({ Width: size.columns, Height: size.rows })}\n`;
}

/** Undefined for what is not a size: a client's nonsense does not end its session. */
function parseSize(text: string): TerminalSize | undefined {
  try {
    const { Width: columns, Height: rows } = JSON.parse(text) as { Width?: unknown; Height?: unknown };
    return isDimension(columns) && isDimension(rows) ? { columns, rows } : undefined;
  } catch {
    return undefined;
  }
}

function isDimension(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 65_535;
}
