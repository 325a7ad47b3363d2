import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noRecorder } from '../../../base/call-recorder.js';
import { systemClock, type Clock } from '../../../base/clock.js';
import { silentLogger } from '../../../base/log.js';
import { runProgram, type RunProgram } from '../../../base/run-program.js';
import type { ConfigMap, Container, Pod, PodUid, Secret, TokenRequest, Volume } from '../../../agent/api/index.js';
import {
  ControlPlaneError,
  type ControlPlane,
  type ReadableKind,
  type ReadableObjects,
} from '../../../agent/controlplane/control-plane.js';
import {
  openVolumeManager,
  VolumeError,
  type OpenVolumeManager,
  type VolumeManagerDeps,
} from '../../../agent/volumes/index.js';
import { hostProgram } from '../../support/host-program.js';
import { LeakCheck } from '../../support/leak-check.js';

type Objects = Pick<ControlPlane, 'get' | 'list' | 'watch' | 'createToken'>;

/** A small control plane that keeps objects and tells watchers; it can be taken away. */
export class ObjectWorld implements Objects {
  readonly #objects = new Map<string, unknown>();
  readonly #watchers = new Map<string, Set<() => void>>();
  available = true;
  tokens: TokenRequest[] = [];
  tokenSeconds = 3600;
  reads = 0;

  put<K extends ReadableKind>(kind: K, object: ReadableObjects[K]): void {
    const { namespace = '', name = '' } = object.metadata ?? {};
    this.#change(`${kind}/${namespace}/${name}`, object);
  }

  remove(kind: ReadableKind, namespace: string, name: string): void {
    this.#change(`${kind}/${namespace}/${name}`, undefined);
  }

  configMap(name: string, data: Record<string, string>, rest: Partial<ConfigMap> = {}): void {
    this.put('ConfigMap', { metadata: { namespace: 'default', name }, data, ...rest });
  }

  secret(name: string, data: Record<string, string>, rest: Partial<Secret> = {}): void {
    const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]);
    this.put('Secret', { metadata: { namespace: 'default', name }, data: Object.fromEntries(encoded), ...rest });
  }

  get watched(): number {
    return this.#watchers.size;
  }

  get<K extends ReadableKind>(kind: K, namespace: string, name: string): Promise<ReadableObjects[K] | undefined> {
    this.reads++;
    if (!this.available)
      return Promise.reject(new ControlPlaneError(`read ${kind} ${name}: nobody answers`, { code: 'unavailable' }));
    return Promise.resolve(this.#objects.get(`${kind}/${namespace}/${name}`) as ReadableObjects[K] | undefined);
  }

  list<K extends ReadableKind>(kind: K, namespace: string): Promise<readonly ReadableObjects[K][]> {
    const prefix = namespace === '' ? `${kind}/` : `${kind}/${namespace}/`;
    return Promise.resolve(
      [...this.#objects].filter(([key]) => key.startsWith(prefix)).map(([, object]) => object as ReadableObjects[K]),
    );
  }

  watch(kind: ReadableKind, namespace: string, name: string, onChange: () => void): Disposable {
    const key = `${kind}/${namespace}/${name}`;
    const watchers = this.#watchers.get(key) ?? new Set();
    this.#watchers.set(key, watchers.add(onChange));
    return {
      [Symbol.dispose]: () => {
        watchers.delete(onChange);
        if (watchers.size === 0) this.#watchers.delete(key);
      },
    };
  }

  createToken(namespace: string, serviceAccount: string, request: TokenRequest): Promise<TokenRequest> {
    if (!this.available)
      return Promise.reject(new ControlPlaneError('request a token: nobody answers', { code: 'unavailable' }));
    this.tokens.push(request);
    const status = {
      token: `token-${this.tokens.length}-${namespace}-${serviceAccount}`,
      expirationTimestamp: new Date(Date.now() + this.tokenSeconds * 1000).toISOString(),
    };
    return Promise.resolve({ ...request, spec: { ...request.spec, expirationSeconds: this.tokenSeconds }, status });
  }

  #change(key: string, object: unknown): void {
    if (object === undefined) this.#objects.delete(key);
    else this.#objects.set(key, object);
    for (const watcher of this.#watchers.get(key) ?? []) watcher();
  }
}

export interface WorldOptions {
  readonly run?: RunProgram;
  readonly clock?: Clock;
  readonly memory?: string;
  readonly standalone?: boolean;
  /** In a cluster whose configuration has the agent attach. */
  readonly attachesHere?: boolean;
  readonly drivers?: Pick<VolumeManagerDeps, 'csi' | 'flexVolumes' | 'pullImage' | 'plugins'>;
  readonly recursiveReadOnly?: boolean;
  /** The root folder lies on a disk of its own, of this many megabytes. */
  readonly diskMegabytes?: number;
  readonly seLinuxFileContext?: string;
  /** How long a pod waits before it says what it waits for; as good as for ever when absent. */
  readonly patienceMs?: number;
}

/** A root folder of its own, a control plane, and managers on them; disposing asserts that nothing is left mounted. */
export class VolumeWorld implements AsyncDisposable {
  readonly root: string;
  readonly objects = new ObjectWorld();
  readonly events: string[] = [];
  /** What was counted: the operation, its plugin, and whether it failed. */
  readonly operations: string[] = [];
  readonly signal: AbortSignal;
  readonly #options: WorldOptions;
  readonly #leaks: LeakCheck;
  readonly #lifetime: AbortController;
  manager!: OpenVolumeManager;

  private constructor(root: string, leaks: LeakCheck, options: WorldOptions) {
    this.root = root;
    this.#leaks = leaks;
    this.#options = options;
    this.#lifetime = new AbortController();
    this.signal = this.#lifetime.signal;
  }

  static async open(options: WorldOptions = {}): Promise<VolumeWorld> {
    const root = await mkdtemp(join(tmpdir(), 'berth volumes-'));
    if (options.diskMegabytes !== undefined) await mountDisk(root, options.diskMegabytes);
    const leaks = await LeakCheck.open({ tokens: [root], kinds: ['mount', 'process'] });
    const world = new VolumeWorld(root, leaks, options);
    await world.restart();
    return world;
  }

  /** A new manager on the same folders, as after a kill -9: nothing of the old one is told. */
  async restart(): Promise<void> {
    this.manager = await openVolumeManager(
      {
        rootDir: this.root,
        nodeName: 'here',
        standalone: this.#options.standalone ?? true,
        attachesHere: this.#options.attachesHere,
        seLinuxFileContext: this.#options.seLinuxFileContext,
        patienceMs: this.#options.patienceMs ?? 600_000,
      },
      {
        run: this.#options.run ?? runProgram,
        recorder: noRecorder,
        log: silentLogger,
        clock: this.#options.clock ?? systemClock,
        objects: this.objects,
        events: { record: (_object, type, reason, message) => void this.events.push(`${type} ${reason} ${message}`) },
        count: (operation, plugin, _seconds, failed) =>
          void this.operations.push(`${operation} ${plugin}${failed ? ' failed' : ''}`),
        nodeFields: () => ({ nodeName: 'here', hostIps: ['192.0.2.1'], podIps: [] }),
        allocatable: () => ({ memory: this.#options.memory ?? '64Mi', cpu: '2' }),
        supportsRecursiveReadOnly: () => Promise.resolve(this.#options.recursiveReadOnly ?? false),
        nodeLabels: () => Promise.resolve({ zone: 'a' }),
        ...this.#options.drivers,
      },
      this.signal,
    );
  }

  /** Host path of what the first container mounts at the `index`th of its mounts. */
  async hostPath(pod: Pod, index = 0, env: Record<string, string> = {}): Promise<string> {
    const { mounts } = await this.manager.forContainer(
      pod,
      firstContainer(pod),
      new Map(Object.entries(env)),
      this.signal,
    );
    return mounts[index]?.hostPath ?? '';
  }

  folder(pod: Pod, ...rest: string[]): string {
    return join(this.root, 'pods', pod.metadata?.uid ?? '', ...rest);
  }

  async mount(pod: Pod): Promise<void> {
    await this.manager.mountPod(pod, this.signal);
  }

  async unmount(pod: Pod): Promise<void> {
    await this.manager.unmountPod(uidOf(pod), this.signal);
  }

  /** However little patience the test has. */
  async #unmountToTheEnd(uid: PodUid): Promise<void> {
    const deadline = performance.now() + 60_000;
    for (;;) {
      try {
        return await this.manager.unmountPod(uid, this.signal);
      } catch (err) {
        const goesOn = err instanceof VolumeError && err.failure.code === 'under-way';
        if (!goesOn || performance.now() > deadline) throw err;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Lines of the mount table below this world. */
  async mounts(): Promise<string[]> {
    const table = await readFile('/proc/self/mountinfo', 'utf8');
    return table
      .split('\n')
      .map((line) => line.replaceAll('\\040', ' '))
      .filter((line) => line.includes(`${this.root}/`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const uid of this.manager.presentPods()) await this.#unmountToTheEnd(uid);
    await this.manager[Symbol.asyncDispose]();
    this.#lifetime.abort();
    await this.#leaks[Symbol.asyncDispose]();
    if (this.#options.diskMegabytes !== undefined) await hostProgram(['umount', this.root]);
    await rm(`${this.root}.img`, { force: true });
    await rm(this.root, { recursive: true, force: true });
  }
}

export interface PodParts {
  readonly volumes: Volume[];
  readonly container?: Partial<Container>;
  readonly pod?: Partial<NonNullable<Pod['spec']>>;
  readonly labels?: Record<string, string>;
  readonly uid?: string;
}

/** A pod that mounts each of its volumes at `/<name>`, unless its container says otherwise. */
export function podOf({ volumes, container = {}, pod = {}, labels = {}, uid = randomUUID() }: PodParts): Pod {
  return {
    metadata: { name: 'web', namespace: 'default', uid, labels, annotations: { note: 'a "quoted" one' } },
    spec: {
      containers: [
        {
          name: 'main',
          image: 'busybox',
          volumeMounts: volumes.map(({ name }) => ({ name, mountPath: `/${name}` })),
          ...container,
        },
      ],
      volumes,
      ...pod,
    },
  };
}

export const uidOf = (pod: Pod): PodUid => (pod.metadata?.uid ?? '') as PodUid;

export function firstContainer(pod: Pod): Container {
  const container = pod.spec?.containers[0];
  if (!container) throw new Error('the pod has no container');
  return container;
}

/** What a container would see: the folder bound to another place, in the way a runtime does it. */
export class BoundView implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async open(source: string): Promise<BoundView> {
    const path = await mkdtemp(join(tmpdir(), 'berth-view-'));
    await mkdir(path, { recursive: true });
    await hostProgram(['mount', '--rbind', source, path]);
    return new BoundView(path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await hostProgram(['umount', '-l', this.path]);
    await rm(this.path, { recursive: true });
  }
}

export async function failureOf(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (err) {
    if (err instanceof Error) return err;
    throw err;
  }
  throw new Error('it did not fail');
}

/** A small disk with a file system, which goes with its last mount. */
async function mountDisk(root: string, megabytes: number): Promise<void> {
  const image = `${root}.img`;
  await hostProgram(['truncate', '-s', `${megabytes}M`, image]);
  await hostProgram(['mkfs.ext4', '-q', '-m0', '-O', '^has_journal', image]);
  await hostProgram(['mount', '-o', 'loop', image, root]);
}
