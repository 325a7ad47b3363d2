import type { RecordedCall } from '../../recorder/recorded-call.js';
import { oneLine } from './table.js';

/** IDs of sandboxes and containers: their beginning is enough for a line; what was asked and answered has all of them. */
const longId = /\b[0-9a-f]{64}\b/g;

/** In UTC, as all times of berth: `03:04:05.678  cni bridge ADD  default/web  ok  42 ms` */
export function callLine(recorded: RecordedCall, now: number): string {
  const { call, outcome } = recorded;
  const cells = [
    (recorded.earlier ? '-' : `#${recorded.id}`).padEnd(6),
    timeText(recorded.startedAt, now),
    durationText(recorded, now).padStart(9),
    (outcome === undefined ? 'running' : outcome.error ? 'FAILED' : 'ok').padEnd(7),
    `${call.interface} ${call.plugin} ${call.verb}`.padEnd(32),
    subjectText(recorded).replaceAll(longId, (id) => id.slice(0, 12)),
  ];
  const why = outcome?.error ? `  ${outcome.error.code}: ${oneLine(outcome.error.message, 160)}` : '';
  return `${cells.join('  ').trimEnd()}${why}\n`;
}

/** With the date when it is not today's. */
function timeText(startedAt: number, now: number): string {
  const text = new Date(startedAt).toISOString();
  const isToday = text.slice(0, 10) === new Date(now).toISOString().slice(0, 10);
  return isToday ? text.slice(11, 23) : `${text.slice(5, 10)} ${text.slice(11, 23)}`;
}

/** The line, and below it what was asked and what came back. */
export function callDetails(recorded: RecordedCall, now: number): string {
  const { call, outcome } = recorded;
  const parts = [callLine(recorded, now).trimEnd()];
  if (call.request !== undefined) parts.push(indented('asked', call.request));
  if (outcome?.error) parts.push(indented('error', `${outcome.error.code}: ${outcome.error.message}`));
  if (outcome?.response !== undefined) parts.push(indented('answer', outcome.response));
  return `${parts.join('\n')}\n`;
}

export function durationText({ durationMs, startedAt }: RecordedCall, now: number): string {
  const ms = durationMs ?? now - startedAt;
  return ms >= 10_000 ? `${(ms / 1000).toFixed(1)} s` : `${ms.toFixed(0)} ms`;
}

function subjectText({ call: { subject } }: RecordedCall): string {
  const pod =
    subject.podName === undefined ? subject.podUid : `${subject.podNamespace ?? 'default'}/${subject.podName}`;
  return [pod, subject.container, subject.object].filter((part) => part !== undefined).join(' ');
}

function indented(label: string, value: unknown): string {
  const text = typeof value === 'string' ? value.trimEnd() : JSON.stringify(value, null, 2);
  const lines = text.split('\n').map((line) => `        ${line}`);
  return `      ${label}:\n${lines.join('\n')}`;
}
