import { createHash } from 'node:crypto';
import { pipeline, type Readable } from 'node:stream';
import { createUnzip } from 'node:zlib';
import { systemClock, type Clock } from '../../base/clock.js';
import { BerthError, errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import { linkSignal } from '../../base/signals.js';
import { loadManifestReader, type ManifestReader } from '../api/index.js';
import { FirstSeen } from './first-seen.js';
import {
  manifestContents,
  unreadableManifest,
  type ManifestContents,
  type ManifestOptions,
} from './manifest-contents.js';
import type { ManifestReport, PodSource, SourceSnapshot } from './pod-source.js';
import { snapshotOf } from './snapshot-of.js';
import { WakeUp } from './wake-up.js';

export interface ManifestHttpOptions extends ManifestOptions {
  /** `staticPodURL`: answers with a Pod, a PodList, or nothing at all. */
  readonly url: string;
  /** `staticPodURLHeader` */
  readonly headers?: Readonly<Record<string, readonly string[]>> | undefined;
  /** `httpCheckFrequency` */
  readonly intervalMs?: number | undefined;
  readonly timeoutMs?: number | undefined;
}

export interface ManifestHttpDeps {
  readonly log: Logger;
  readonly clock?: Clock | undefined;
}

export type ManifestHttpFailure =
  { code: 'bad-status'; status: number } | { code: 'too-large' } | { code: 'unknown-encoding' };
export class ManifestHttpError extends BerthError<ManifestHttpFailure> {}

const maxBodyBytes = 10 * 1024 * 1024;
const defaultIntervalMs = 20_000;
const defaultTimeoutMs = 10_000;

/** Pods from a URL that is asked again and again. An answer that cannot be used leaves in force what was there. */
export class ManifestHttp implements PodSource {
  readonly name = 'http';
  readonly #options: ManifestHttpOptions;
  readonly #log: Logger;
  readonly #wakeUp = new WakeUp();
  readonly #seen: FirstSeen;
  #contents: ManifestContents | undefined;
  #failure: ManifestReport | undefined;
  #bodyHash = '';
  #reader: ManifestReader | undefined;

  constructor(options: ManifestHttpOptions, deps: ManifestHttpDeps) {
    this.#options = options;
    this.#log = deps.log.child({ source: 'http', url: withoutSecrets(options.url) });
    const clock = deps.clock ?? systemClock;
    this.#seen = new FirstSeen(() => clock.now());
  }

  get reports(): readonly ManifestReport[] {
    return [this.#failure, this.#contents?.report].filter((report) => report !== undefined);
  }

  wake(): void {
    this.#wakeUp.set();
  }

  async run(deliver: (snapshot: SourceSnapshot) => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const body = await this.#fetchBody(signal);
        this.#failure = undefined;
        if (await this.#take(body)) deliver(this.#snapshot());
      } catch (err) {
        if (signal.aborted) return;
        const url = withoutSecrets(this.#options.url);
        const message = `cannot be read: ${errorText(err)}; what it held before stays in force`;
        if (this.#failure?.problems[0]?.message !== message) this.#log.warn({ err }, 'manifest URL cannot be read');
        this.#failure = unreadableManifest(url, message, []).report;
      }
      await this.#wakeUp.wait(this.#options.intervalMs ?? defaultIntervalMs, signal);
    }
  }

  async #fetchBody(signal: AbortSignal): Promise<Buffer> {
    const { url, headers = {}, timeoutMs = defaultTimeoutMs } = this.#options;
    const { request } = await import('undici');
    using limited = linkSignal(signal, { timeoutMs, what: `an answer from ${withoutSecrets(url)}` });
    const {
      statusCode,
      body,
      headers: answered,
    } = await request(url, {
      headers: Object.fromEntries(Object.entries(headers).map(([name, values]) => [name, [...values]])),
      signal: limited.signal,
    });
    if (statusCode !== 200) {
      await body.dump();
      throw new ManifestHttpError(`get pods: status ${statusCode}`, { code: 'bad-status', status: statusCode });
    }
    const encoding = String(answered['content-encoding'] ?? 'identity').toLowerCase();
    if (!['identity', 'gzip', 'deflate'].includes(encoding)) {
      await body.dump();
      const message = `get pods: the answer is encoded as ${JSON.stringify(encoding)}, which is not understood`;
      throw new ManifestHttpError(message, { code: 'unknown-encoding' });
    }
    return await readBody(encoding === 'identity' ? body : unpacked(body));
  }

  /** True when the set may have changed. An unchanged body is not parsed again. */
  async #take(body: Buffer): Promise<boolean> {
    const hash = createHash('sha256').update(body).digest('hex');
    if (hash === this.#bodyHash) return false;
    const { url } = this.#options;
    const reader = (this.#reader ??= await loadManifestReader());
    const before = this.#contents?.held ?? [];
    const origin = { source: 'http', url } as const;
    const entries = reader.readText(body);
    const seenAt = (uid: string): string => this.#seen.at(uid);
    this.#contents = manifestContents(withoutSecrets(url), origin, entries, before, this.#options, seenAt);
    this.#bodyHash = hash;
    const { report } = this.#contents;
    if (!report.ok) this.#log.warn({ problems: report.problems }, 'manifest has problems');
    return true;
  }

  #snapshot(): SourceSnapshot {
    const snapshot = snapshotOf('http', this.#contents?.held ?? []);
    this.#seen.keepOnly(new Set(snapshot.pods.map((pod) => pod.metadata?.uid ?? '')));
    return snapshot;
  }
}

/** Some servers compress without being asked. The limit counts what comes out. */
function unpacked(body: Readable): Readable {
  const unzip = createUnzip();
  // Whoever reads the result is told of what goes wrong on either side.
  pipeline(body, unzip, () => {});
  return unzip;
}

async function readBody(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBodyBytes) {
      throw new ManifestHttpError(`get pods: more than ${maxBodyBytes / 1024 / 1024} MiB`, { code: 'too-large' });
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** A URL may carry a password or a token; neither belongs into logs and reports. */
function withoutSecrets(url: string): string {
  try {
    const { protocol, host, pathname } = new URL(url);
    return `${protocol}//${host}${pathname}`;
  } catch {
    return 'the manifest URL';
  }
}
