import { HttpError } from '../http-error.js';

/** `v1.PodLogOptions`, as far as a node looks at them. */
export interface PodLogOptions {
  readonly follow: boolean;
  readonly previous: boolean;
  readonly timestamps: boolean;
  /** ms since the epoch. */
  readonly sinceMs: number | undefined;
  readonly tailLines: number | undefined;
  readonly limitBytes: number | undefined;
  readonly stream: 'stdout' | 'stderr' | undefined;
}

const undecodable = (): HttpError => new HttpError(400, '{"message": "Unable to decode query."}');
const invalid = (): HttpError => new HttpError(422, '{"message": "Invalid request."}');

/** Reads the query of `/containerLogs` as the kubelet does: what cannot be read is 400, what makes no sense 422. */
export function parseLogOptions(query: URLSearchParams, now: number): PodLogOptions {
  const tail = query.get('tail') ?? '';
  const tailText = tail === '' ? query.get('tailLines') : tail === 'all' ? null : tail;
  const tailLines = integer(tailText);
  const limitBytes = integer(query.get('limitBytes'));
  const sinceSeconds = integer(query.get('sinceSeconds'));
  const sinceTime = instant(query.get('sinceTime'));
  const stream = streamOf(query.get('stream'));
  if (tailLines !== undefined && tailLines < 0) throw invalid();
  if (limitBytes !== undefined && limitBytes < 1) throw invalid();
  if (sinceSeconds !== undefined && (sinceTime !== undefined || sinceSeconds < 1)) throw invalid();
  if (stream !== undefined && tailLines !== undefined) throw invalid();
  return {
    follow: isTrue(query.get('follow')),
    previous: isTrue(query.get('previous')),
    timestamps: isTrue(query.get('timestamps')),
    sinceMs: sinceSeconds === undefined ? sinceTime : now - sinceSeconds * 1000,
    tailLines,
    limitBytes,
    stream,
  };
}

/** Kubernetes' own reading: there, and neither `false` nor `0`. */
const isTrue = (text: string | null): boolean => text !== null && text !== '0' && text.toLowerCase() !== 'false';

function integer(text: string | null): number | undefined {
  if (text === null) return undefined;
  if (!/^[+-]?\d+$/.test(text)) throw undecodable();
  const number = Number(text);
  if (Math.abs(number) > 2 ** 63) throw undecodable();
  return number;
}

function instant(text: string | null): number | undefined {
  if (text === null) return undefined;
  if (text === '' || text === 'null') return 0;
  const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
  const ms = rfc3339.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms)) throw undecodable();
  return ms;
}

function streamOf(text: string | null): PodLogOptions['stream'] {
  if (text === null || text === 'All') return undefined;
  if (text === 'Stdout') return 'stdout';
  if (text === 'Stderr') return 'stderr';
  throw invalid();
}
