import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';
import type { ContainerConfig, IDMapping, NamespaceOption, UserNamespace } from '../../proto/generated/cri-v1.js';
import type { Pod } from '../api/index.js';
import { StepError } from '../executors/step-error.js';

export interface UserNamespacesOptions {
  /** `$ROOT/pods`. */
  readonly podsDir: string;
  /** A multiple of 65536. */
  readonly idsPerPod: number;
  readonly maxPods: number;
  /** Where the ids come from when they name a user `kubelet`: `/etc/subuid`, `/etc/subgid`. */
  readonly subuidPath: string;
  readonly subgidPath: string;
}

export interface UserNamespacesDeps {
  readonly log: Logger;
  /** Whether the runtime gives pods of this handler a user namespace of their own. */
  supported(runtimeHandler: string, signal: AbortSignal): Promise<boolean>;
}

const blockSize = 65_536;
const allIds = 2 ** 32;

interface Pool {
  readonly first: number;
  /** Exclusive. */
  readonly end: number;
}

/**
 * The host's ids of pods with `hostUsers: false` (facts 7.5). A pod's range lies in `pods/<uid>/userns` as the kubelet keeps it, and nowhere
 * else: it is taken by writing the file and given back when the pod's folder goes, after everything that could use it.
 */
export class UserNamespaces {
  readonly #options: UserNamespacesOptions;
  readonly #deps: UserNamespacesDeps;

  constructor(options: UserNamespacesOptions, deps: UserNamespacesDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** For a new sandbox: the pod's range, taken if it has none. Undefined for a pod that shares the host's users. */
  async assign(pod: Pod, runtimeHandler: string, signal: AbortSignal): Promise<UserNamespace | undefined> {
    if (pod.spec?.hostUsers !== false) return undefined;
    if (!(await this.#deps.supported(runtimeHandler, signal))) {
      const handler = runtimeHandler === '' ? 'the default runtime handler' : `runtime handler ${runtimeHandler}`;
      throw new StepError(
        'FailedCreatePodSandBox',
        `hostUsers is false and ${handler} does not support user namespaces`,
      );
    }
    const uid = pod.metadata?.uid ?? '';
    const first = this.#read(uid) ?? this.#take(uid);
    return userNamespace(first, this.#options.idsPerPod);
  }

  /** For a container in a sandbox that is there. */
  of(pod: Pod): UserNamespace | undefined {
    if (pod.spec?.hostUsers !== false) return undefined;
    const first = this.#read(pod.metadata?.uid ?? '');
    if (first === undefined)
      throw new StepError('CreateContainerConfigError', 'the range of user ids of the pod is lost');
    return userNamespace(first, this.#options.idsPerPod);
  }

  #take(uid: string): number {
    const { podsDir, idsPerPod } = this.#options;
    const pool = this.#pool();
    const taken = readdirSync(podsDir)
      .map((other) => this.#read(other))
      .filter((first) => first !== undefined);
    const overlaps = (first: number): boolean => taken.some((other) => Math.abs(other - first) < idsPerPod);
    let first = pool.first;
    while (first + idsPerPod <= pool.end && overlaps(first)) first += idsPerPod;
    if (first + idsPerPod > pool.end) {
      throw new StepError(
        'FailedCreatePodSandBox',
        `no free range of ${idsPerPod} user ids from ${pool.first} to ${pool.end}`,
      );
    }
    const mapping = [{ hostId: first, containerId: 0, length: idsPerPod }];
    const path = join(podsDir, uid, 'userns');
    // Whole or not at all; of a power cut no pod is left that could use it.
    writeFileSync(`${path}.new`, JSON.stringify({ uidMappings: mapping, gidMappings: mapping }), { mode: 0o644 });
    renameSync(`${path}.new`, path);
    return first;
  }

  /** First id of a pod's range; a file that cannot be read counts as none. */
  #read(uid: string): number | undefined {
    const path = join(this.#options.podsDir, uid, 'userns');
    try {
      const { uidMappings } = JSON.parse(readFileSync(path, 'utf8')) as { uidMappings?: { hostId?: unknown }[] };
      const first = uidMappings?.[0]?.hostId;
      if (typeof first === 'number') return first;
      this.#deps.log.warn({ path }, 'range of user ids of a pod unreadable, a new one is taken');
    } catch (err) {
      const errno = errnoOf(err);
      if (errno !== 'ENOENT' && errno !== 'ENOTDIR') {
        this.#deps.log.warn({ err, path }, 'range of user ids of a pod unreadable, a new one is taken');
      }
    }
    return undefined;
  }

  /** The subordinate ids of the user `kubelet`, or all but the host's own first block. */
  #pool(): Pool {
    const { subuidPath, subgidPath, idsPerPod, maxPods } = this.#options;
    const uids = subordinate(subuidPath);
    const gids = subordinate(subgidPath);
    if (uids === undefined && gids === undefined) return { first: blockSize, end: allIds - blockSize };
    const refuse = (why: string): never => {
      throw new StepError(
        'FailedCreatePodSandBox',
        `user ids for pods: the entries of kubelet in ${subuidPath} and ${subgidPath} ${why}`,
      );
    };
    if (uids === undefined || uids.first !== gids?.first || uids.end !== gids.end) return refuse('differ');
    if (uids.first < blockSize || uids.first % blockSize !== 0)
      return refuse(`do not begin at a multiple of ${blockSize}`);
    if (uids.end - uids.first < idsPerPod * maxPods)
      return refuse(`do not have ${idsPerPod} ids for each of ${maxPods} pods`);
    return uids;
  }
}

function subordinate(path: string): Pool | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (err) {
    if (errnoOf(err) === 'ENOENT') return undefined;
    throw err;
  }
  const found = text.split('\n').flatMap((line) => {
    const [user, first, count] = line.trim().split(':');
    return user === 'kubelet' ? [{ first: Number(first), end: Number(first) + Number(count) }] : [];
  });
  if (found.length > 1) {
    throw new StepError('FailedCreatePodSandBox', `user ids for pods: more than one entry of kubelet in ${path}`);
  }
  return found[0];
}

function userNamespace(first: number, length: number): UserNamespace {
  const mapping: readonly IDMapping[] = [{ hostId: first, containerId: 0, length }];
  return { mode: 'POD', uids: mapping, gids: mapping };
}

export function withUsers(
  options: NamespaceOption | null | undefined,
  users: UserNamespace | undefined,
): NamespaceOption {
  return users === undefined ? { ...options } : { ...options, usernsOptions: users };
}

/** A container's configuration in the user namespace of its pod: every mount shows the pod's ids. */
export function inUserNamespace(config: ContainerConfig, users: UserNamespace | undefined): ContainerConfig {
  if (users === undefined) return config;
  const { uids = [], gids = [] } = users;
  const security = config.linux?.securityContext;
  return {
    ...config,
    mounts: (config.mounts ?? []).map((mount) => ({ ...mount, uidMappings: uids, gidMappings: gids })),
    linux: {
      ...config.linux,
      securityContext: { ...security, namespaceOptions: withUsers(security?.namespaceOptions, users) },
    },
  };
}
