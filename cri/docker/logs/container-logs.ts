import { watch, type FSWatcher } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errorText } from '../../../base/errors.js';
import type { Logger } from '../../../base/log.js';
import { isCriCode } from '../../contract/cri-error.js';
import type { DockerApi } from '../docker-api.js';
import type { InspectedContainer, ListedContainer } from '../docker-types.js';
import { containerType, dockerLabels } from '../names-and-labels.js';
import { ContainerLog } from './container-log.js';

interface Followed {
  readonly log: ContainerLog;
  watcher: FSWatcher | undefined;
}

/**
 * Brings Docker's json-file logs into the CRI layout while containers run. The kernel tells when a log grew: at rest nothing is
 * open and nothing is polled.
 */
export class ContainerLogs implements Disposable {
  readonly #api: DockerApi;
  readonly #log: Logger;
  readonly #stateDir: string;
  readonly #followed = new Map<string, Followed>();
  /** Ended, and everything brought over. */
  readonly #finished = new Set<string>();
  readonly #closing = new AbortController();

  constructor(api: DockerApi, log: Logger, stateDir: string) {
    this.#api = api;
    this.#log = log;
    this.#stateDir = join(stateDir, 'logs');
  }

  /** Takes up the logs of all containers that are there, as after a restart of the agent or of Docker. */
  async open(signal: AbortSignal): Promise<void> {
    await mkdir(this.#stateDir, { recursive: true, mode: 0o700 });
    const filters = { label: [`${dockerLabels.type}=${containerType}`] };
    const listed = await this.#api.call<ListedContainer[]>(
      { method: 'GET', path: '/containers/json', query: { all: true, filters }, verb: 'list containers' },
      signal,
    );
    for (const { Id, State } of listed) if (State !== 'created') this.follow(Id);
  }

  /** Whoever looks for the log of a container that was started finds it, if only empty. */
  async prepare(criPath: string): Promise<void> {
    if (criPath === '') return;
    await mkdir(dirname(criPath), { recursive: true });
    await (await open(criPath, 'a', 0o640)).close();
  }

  /** From now on, and from the beginning of what was not brought over yet. Never fails: a log is not worth a container. */
  follow(id: string): void {
    void this.#follow(id, this.#closing.signal).catch((err: unknown) => {
      if (!this.#closing.signal.aborted)
        this.#log.warn({ containerId: id, err: errorText(err) }, 'container log is not followed');
    });
  }

  /** Resolves when all that was written until now is in the CRI log. */
  async catchUp(id: string, signal: AbortSignal): Promise<void> {
    await (await this.#follow(id, signal))?.log.copy();
  }

  /** Like `catchUp`, for a container that has ended: asked again, it costs nothing. */
  async finish(id: string, signal: AbortSignal): Promise<void> {
    if (this.#finished.has(id)) return;
    try {
      await this.catchUp(id, signal);
    } catch (err) {
      signal.throwIfAborted();
      this.#log.warn({ containerId: id, err: errorText(err) }, 'the end of a container log was not brought over');
      return;
    }
    this.#followed.get(id)?.watcher?.close();
    this.#followed.delete(id);
    this.#finished.add(id);
  }

  async forget(id: string): Promise<void> {
    this.#followed.get(id)?.watcher?.close();
    this.#followed.delete(id);
    this.#finished.delete(id);
    await new ContainerLog('', '', this.#statePath(id)).forget();
  }

  [Symbol.dispose](): void {
    this.#closing.abort(new Error('closing'));
    for (const { watcher } of this.#followed.values()) watcher?.close();
    this.#followed.clear();
  }

  async #follow(id: string, signal: AbortSignal): Promise<Followed | undefined> {
    const known = this.#followed.get(id);
    if (known !== undefined) return known;
    const found = await this.#inspect(id, signal);
    const criPath = found?.Config.Labels[dockerLabels.logPath] ?? '';
    if (found === undefined || criPath === '' || found.LogPath === '') return undefined;
    const other = this.#followed.get(id);
    if (other !== undefined) return other;
    const followed: Followed = {
      log: new ContainerLog(found.LogPath, criPath, this.#statePath(id)),
      watcher: undefined,
    };
    this.#followed.set(id, followed);
    this.#watch(id, followed);
    await followed.log.copy();
    return followed;
  }

  #watch(id: string, followed: Followed): void {
    const copy = (): void => {
      followed.log.copy().catch((err: unknown) => {
        this.#log.warn({ containerId: id, err: errorText(err) }, 'container log was not brought over');
      });
    };
    const watcher = watch(dirname(followed.log.jsonPath), { persistent: false }, copy);
    // The folder goes with the container.
    watcher.on('error', () => watcher.close());
    followed.watcher = watcher;
  }

  async #inspect(id: string, signal: AbortSignal): Promise<InspectedContainer | undefined> {
    try {
      const request = { method: 'GET', path: `/containers/${id}/json`, verb: `inspect ${id}` } as const;
      return await this.#api.call<InspectedContainer>(request, signal);
    } catch (err) {
      if (isCriCode(err, 'not-found')) return undefined;
      throw err;
    }
  }

  #statePath(id: string): string {
    return join(this.#stateDir, `${id}.json`);
  }
}
