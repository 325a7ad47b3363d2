import type { Agent } from '../agent.js';
import { podRow, type PodRow } from '../cli/output/pod-table.js';
import { renderTable } from '../cli/output/table.js';

/** A full redraw at most this often. */
const redrawMs = 100;
/** Ages go on while nothing happens. */
const idleRedrawMs = 5000;

/**
 * Shows pods as they become Ready: a table that is redrawn in place on a terminal, a line for each change elsewhere. `onAllReady` gives
 * lines to show below once all are. Disposing ends it.
 */
export function showLive(agent: Agent, out: NodeJS.WriteStream, onAllReady: (seconds: number) => string): Disposable {
  const started = performance.now();
  const shown = new Map<string, string>();
  let timer: NodeJS.Timeout | undefined;
  let drawnLines = 0;
  let footer = '';
  const draw = (): void => {
    clearTimeout(timer);
    timer = out.isTTY ? setTimeout(draw, idleRedrawMs).unref() : undefined;
    const pods = agent.pods();
    const rows = pods.map((pod) => ({ uid: pod.uid, row: podRow(pod, Date.now()) }));
    const ready = pods.filter(({ status }) =>
      status?.conditions?.some(({ type, status: met }) => type === 'Ready' && met === 'True'),
    );
    const firstTime = footer === '' && pods.length > 0 && ready.length === pods.length && agent.sourcesSynced();
    if (firstTime) footer = onAllReady((performance.now() - started) / 1000);
    if (!out.isTTY) {
      for (const { uid, row } of rows) printChange(uid, row, shown, out);
      if (firstTime) out.write(footer);
      return;
    }
    const text = `${cut(table(rows.map(({ row }) => row)), out.columns)}${footer}`;
    out.write(`${drawnLines > 0 ? `\u001B[${drawnLines}A\u001B[J` : ''}${text}`);
    drawnLines = heightOf(text, out.columns);
  };
  let pending = false;
  const schedule = (): void => {
    if (pending) return;
    pending = true;
    clearTimeout(timer);
    timer = setTimeout(() => {
      pending = false;
      draw();
    }, redrawMs);
  };
  const subscription = agent.onPodChange(schedule);
  draw();
  return {
    [Symbol.dispose]() {
      subscription[Symbol.dispose]();
      clearTimeout(timer);
    },
  };
}

/** Rows of the terminal that a text takes: what is wider goes on in the next one. */
export function heightOf(text: string, columns: number): number {
  const lines = text.split('\n').slice(0, -1);
  return lines.reduce((sum, line) => sum + (columns > 0 ? Math.max(1, Math.ceil(line.length / columns)) : 1), 0);
}

/** A row of a table has one line, however narrow the terminal. */
export function cut(text: string, columns: number): string {
  if (!(columns > 0)) return text;
  return text
    .split('\n')
    .map((line) => line.slice(0, columns))
    .join('\n');
}

const ipOf = ({ ip }: PodRow): string => (ip === '<none>' ? '' : ip);
const waitingOf = ({ waitingFor }: PodRow): string => (waitingFor === '<none>' ? '' : waitingFor);

function table(rows: readonly PodRow[]): string {
  return renderTable(
    ['NAME', 'READY', 'STATUS', 'RESTARTS', 'AGE', 'IP', 'WAITING FOR'],
    rows.map((row) => [row.name, row.ready, row.status, row.restarts, row.age, ipOf(row), waitingOf(row)]),
  );
}

/** The age changes all the time and is no news. */
function printChange(uid: string, row: PodRow, shown: Map<string, string>, out: NodeJS.WriteStream): void {
  const news = [row.name.padEnd(12), row.ready, row.status.padEnd(18), ipOf(row).padEnd(14), waitingOf(row)]
    .join('  ')
    .trimEnd();
  if (shown.get(uid) === news) return;
  shown.set(uid, news);
  out.write(`${news}\n`);
}
