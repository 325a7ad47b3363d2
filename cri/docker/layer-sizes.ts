import { errorText } from '../../base/errors.js';
import { linkSignal, orAbort } from '../../base/signals.js';
import type { Clock } from '../../base/clock.js';
import type { Logger } from '../../base/log.js';
import type * as v1 from '../../proto/generated/cri-v1.js';
import type { DockerApi } from './docker-api.js';
import type { DockerInfo, ListedContainer } from './docker-types.js';
import { containerType, dockerLabels } from './names-and-labels.js';

export interface LayerSizesDeps {
  readonly api: DockerApi;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Measured {
  readonly atMs: number;
  readonly mountpoint: string;
  readonly bytes: ReadonlyMap<string, number>;
}

const maxAgeMs = 30_000;
/** Longest wait for a first count: whoever reads metrics has a time limit too (Prometheus 10 s), and comes again. */
const mostWaitMs = 5000;

/**
 * Space the containers' writable layers take. Docker walks them for each answer, so it is asked behind the reader: asking here gives what was
 * last found and, when that is old or knows nothing of the container, has Docker count again. Nobody asking, nothing is walked.
 */
export class LayerSizes implements Disposable {
  readonly #deps: LayerSizesDeps;
  readonly #closing = new AbortController();
  #measured: Measured = { atMs: -Infinity, mountpoint: '', bytes: new Map() };
  #askedAtMs = -Infinity;
  #measuring: Promise<void> | undefined;

  constructor(deps: LayerSizesDeps) {
    this.#deps = deps;
  }

  usage(id: string): v1.FilesystemUsage | undefined {
    const { atMs, mountpoint, bytes } = this.#measured;
    const size = bytes.get(id);
    const ageMs = this.#deps.clock.now() - this.#askedAtMs;
    // One that is never listed must not make every question a walk.
    if (ageMs >= (size === undefined ? 1000 : maxAgeMs)) this.#measureBehind();
    if (size === undefined) return undefined;
    return { timestamp: atMs * 1e6, fsId: { mountpoint }, usedBytes: { value: size } };
  }

  /** Waits a while until all of them were counted at least once. */
  async lookAtNew(ids: readonly string[], signal: AbortSignal): Promise<void> {
    using limit = linkSignal(signal, { timeoutMs: mostWaitMs, what: 'the size of containers' });
    // A count under way may have begun before one of them was made.
    for (let count = 0; count < 2 && ids.some((id) => !this.#measured.bytes.has(id)); count++) {
      this.#measureBehind();
      try {
        await orAbort(this.#measuring ?? Promise.resolve(), limit.signal);
      } catch {
        signal.throwIfAborted();
        return;
      }
    }
  }

  #measureBehind(): void {
    if (this.#measuring || this.#closing.signal.aborted) return;
    this.#measuring = this.#measure(this.#closing.signal)
      .catch((err: unknown) => {
        if (this.#closing.signal.aborted) return;
        this.#deps.log.warn({ err: errorText(err) }, 'disk usage of containers not read, kept as it was');
      })
      .finally(() => {
        this.#measuring = undefined;
        this.#askedAtMs = this.#deps.clock.now();
      });
  }

  async #measure(signal: AbortSignal): Promise<void> {
    const { api, clock } = this.#deps;
    const filters = { label: [`${dockerLabels.type}=${containerType}`] };
    const what = 'ask for the size of containers';
    const [{ DockerRootDir }, listed] = await Promise.all([
      api.call<DockerInfo>({ method: 'GET', path: '/info', verb: what }, signal),
      api.call<ListedContainer[]>(
        { method: 'GET', path: '/containers/json', query: { all: true, size: true, filters }, verb: what },
        signal,
      ),
    ]);
    // Docker leaves a size of nothing out.
    const bytes = new Map(listed.map(({ Id, SizeRw = 0 }) => [Id, SizeRw]));
    this.#measured = { atMs: clock.now(), mountpoint: DockerRootDir, bytes };
  }

  [Symbol.dispose](): void {
    this.#closing.abort(new Error('closing'));
  }
}
