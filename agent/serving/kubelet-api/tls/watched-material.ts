import { X509Certificate } from 'node:crypto';
import { watch, type FSWatcher } from 'node:fs';
import { mkdir, stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { fileStamp } from '../../../../base/file-stamp.js';
import type { Clock } from '../../../../base/clock.js';
import { errorText } from '../../../../base/errors.js';
import type { Logger } from '../../../../base/log.js';
import { runEvery } from '../../../../base/run-every.js';
import {
  allFiles,
  materialFiles,
  readClientCa,
  readServing,
  type MaterialOptions,
  type TlsMaterial,
} from './read-material.js';

export interface WatchedMaterialDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/** For file systems and folders whose changes are not announced. */
const pollMs = 60_000;
/** A certificate and its key are written one after the other. */
const settleMs = 100;

/** Certificates that follow their files. What cannot be read leaves what was there before in force. */
export class WatchedMaterial implements AsyncDisposable {
  readonly #options: MaterialOptions;
  readonly #deps: WatchedMaterialDeps;
  readonly #changed: (material: TlsMaterial) => void;
  readonly #stop = new AbortController();
  readonly #watchers: FSWatcher[] = [];
  #serving: { readonly cert: string; readonly key: string } | undefined;
  #clientCa: string | undefined;
  #polling: Promise<void> = Promise.resolve();
  #reading: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** The files as they were when all of them were last read well. */
  #readAs = '';
  /** When the serving certificate ends; ms. */
  #endsAt = 0;

  /** `changed` is called with every new set, from when there is something to serve with. */
  constructor(options: MaterialOptions, deps: WatchedMaterialDeps, changed: (material: TlsMaterial) => void) {
    this.#options = options;
    this.#deps = deps;
    this.#changed = changed;
  }

  async start(): Promise<void> {
    const what = 'reading the certificates of the kubelet API';
    const { certDir, fromCluster } = this.#options.tls;
    // It is watched from before the cluster has issued anything.
    if (fromCluster) await mkdir(certDir, { recursive: true, mode: 0o750 }).catch(() => {});
    await this.read();
    for (const folder of new Set(materialFiles(this.#options).map((file) => dirname(file)))) this.#watch(folder);
    this.#polling = runEvery({ what, everyMs: pollMs }, () => this.#look(), this.#deps, this.#stop.signal);
  }

  /** Reads the files now, or joins the reading under way. */
  async read(): Promise<void> {
    this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
    await this.#reading;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new DOMException('the agent stops', 'AbortError'));
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers) watcher.close();
    await Promise.all([this.#polling, this.#reading]);
  }

  /** Other files of the folder may change all the time. */
  #watch(folder: string): void {
    const names = new Set(
      materialFiles(this.#options)
        .filter((file) => dirname(file) === folder)
        .map((file) => basename(file)),
    );
    // By which a mounted volume changes all its files at once.
    names.add('..data');
    try {
      const watcher = watch(folder, (_event, name) => {
        if (name !== null && !names.has(name)) return;
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => void this.#look(), settleMs);
      });
      watcher.on('error', () => {});
      this.#watchers.push(watcher);
    } catch (err) {
      this.#deps.log.warn(
        { folder, err: errorText(err), retryInMs: pollMs },
        'certificates are not watched, only polled',
      );
    }
  }

  /**
   * Reads what is not as it was when it was read. Parsing certificates is dear, and a folder they lie in may be one where something changes
   * all the time.
   */
  async #look(): Promise<void> {
    const isAsRead = (await filesNow(this.#options)) === this.#readAs;
    if (!isAsRead || this.#deps.clock.now() >= this.#endsAt) await this.read();
  }

  async #read(): Promise<void> {
    const files = await filesNow(this.#options);
    const before = JSON.stringify([this.#serving, this.#clientCa]);
    const { clientCaFile } = this.#options;
    const now = this.#deps.clock.now();
    const kept = await this.#keep('serving certificate', async () => {
      this.#serving = (await readServing(this.#options, now)) ?? this.#serving;
    });
    const keptCa = await this.#keep('client authority', async () => {
      this.#clientCa = await readClientCa(clientCaFile);
    });
    this.#readAs = kept && keptCa && this.#serving ? files : '';
    this.#endsAt = this.#serving ? endOf(this.#serving.cert) : 0;
    if (this.#stop.signal.aborted || !this.#serving) return;
    if (JSON.stringify([this.#serving, this.#clientCa]) === before) return;
    this.#changed({ ...this.#serving, clientCa: this.#clientCa });
  }

  /** False when it failed, which is told. */
  async #keep(what: string, read: () => Promise<void>): Promise<boolean> {
    try {
      await read();
      return true;
    } catch (err) {
      this.#deps.log.warn(
        { what, err: errorText(err), retryInMs: pollMs },
        'certificates of the kubelet API are not usable',
      );
      return false;
    }
  }
}

const endOf = (cert: string): number => Date.parse(new X509Certificate(cert).validTo);

/** Changes when any of the files does. */
async function filesNow(options: MaterialOptions): Promise<string> {
  const stamps = allFiles(options).map((path) => stat(path).then(fileStamp, () => ''));
  return (await Promise.all(stamps)).join();
}
