import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { removeUnfinishedWrites, writeFileAtomic } from '../../base/atomic-file.js';
import { toRfc3339 } from '../../base/clock.js';
import { errorText } from '../../base/errors.js';
import type { Logger } from '../../base/log.js';

/** Whose credentials got an image, as the kubelet writes it. */
export interface RecordedAccess {
  readonly kubernetesSecrets?: readonly RecordedSecret[] | undefined;
  readonly kubernetesServiceAccounts?: readonly RecordedAccount[] | undefined;
  /** Pulled without credentials or with the node's: every pod here may have it. */
  readonly nodePodsAccessible?: boolean | undefined;
}

export interface RecordedAccount {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
}

export interface RecordedSecret extends RecordedAccount {
  readonly credentialHash: string;
}

export interface PulledRecord {
  readonly imageRef: string;
  /** ms since the epoch. */
  readonly updatedAt: number;
  /** By the image's name as pods write it, without tag and digest. */
  readonly access: Readonly<Record<string, RecordedAccess>>;
}

const apiVersion = 'kubelet.config.k8s.io/v1beta1';

/**
 * Which images the agent pulled and with whose credentials: the kubelet's own files below `image_manager/`, so that either may take
 * over from the other. Held in memory; nobody else writes while an agent runs.
 */
export class PullRecords {
  readonly #pullingDir: string;
  readonly #pulledDir: string;
  readonly #pulled = new Map<string, PulledRecord>();
  readonly #intents = new Set<string>();
  /** Names of files that cannot be read: what they say of their image is unknown, which is not that it says nothing. */
  readonly #unreadable = new Set<string>();

  private constructor(rootDir: string) {
    this.#pullingDir = join(rootDir, 'image_manager', 'pulling');
    this.#pulledDir = join(rootDir, 'image_manager', 'pulled');
  }

  static async open(rootDir: string, log: Logger): Promise<PullRecords> {
    const records = new PullRecords(rootDir);
    await readAll(records.#pullingDir, 'ImagePullIntent', log, (content) => {
      records.#intents.add(textOf(content['image']));
    });
    const unreadable = await readAll(records.#pulledDir, 'ImagePulledRecord', log, (content) => {
      const record = recordOf(content);
      records.#pulled.set(record.imageRef, record);
    });
    for (const name of unreadable) records.#unreadable.add(name);
    return records;
  }

  get intents(): readonly string[] {
    return [...this.#intents];
  }

  get all(): readonly PulledRecord[] {
    return [...this.#pulled.values()];
  }

  hasIntent(image: string): boolean {
    return this.#intents.has(image);
  }

  pulled(imageRef: string): PulledRecord | 'unreadable' | undefined {
    return this.#pulled.get(imageRef) ?? (this.#unreadable.has(fileName(imageRef)) ? 'unreadable' : undefined);
  }

  async writeIntent(image: string): Promise<void> {
    if (this.#intents.has(image)) return;
    await write(this.#pullingDir, image, { kind: 'ImagePullIntent', apiVersion, image });
    this.#intents.add(image);
  }

  async removeIntent(image: string): Promise<void> {
    await rm(join(this.#pullingDir, fileName(image)), { force: true });
    this.#intents.delete(image);
  }

  async writePulled(record: PulledRecord): Promise<void> {
    const { imageRef, updatedAt, access } = record;
    await write(this.#pulledDir, imageRef, {
      kind: 'ImagePulledRecord',
      apiVersion,
      lastUpdatedTime: toRfc3339(updatedAt),
      imageRef,
      ...(Object.keys(access).length > 0 && { credentialMapping: access }),
    });
    this.#pulled.set(imageRef, record);
    this.#unreadable.delete(fileName(imageRef));
  }

  async removePulled(imageRef: string): Promise<void> {
    await rm(join(this.#pulledDir, fileName(imageRef)), { force: true });
    this.#pulled.delete(imageRef);
  }
}

const fileName = (key: string): string => `sha256-${createHash('sha256').update(key).digest('hex')}`;

/** As durable as the kubelet's: what a power cut takes is asked of the registry again. */
async function write(folder: string, key: string, content: object): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await writeFileAtomic(join(folder, fileName(key)), JSON.stringify(content), { flush: false });
}

/** Names of the files that could not be read. */
async function readAll(
  folder: string,
  kind: string,
  log: Logger,
  take: (content: Readonly<Record<string, unknown>>) => void,
): Promise<string[]> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await removeUnfinishedWrites(folder);
  const unreadable: string[] = [];
  for (const name of await readdir(folder)) {
    if (!/^sha256-[0-9a-f]{64}$/.test(name)) continue;
    try {
      const content = objectOf(JSON.parse(await readFile(join(folder, name), 'utf8')));
      if (content['kind'] !== kind) throw new Error(`it is no ${kind}`);
      take(content);
    } catch (err) {
      unreadable.push(name);
      log.warn({ path: join(folder, name), err: errorText(err) }, 'record of an image pull cannot be read');
    }
  }
  return unreadable;
}

function recordOf(content: Readonly<Record<string, unknown>>): PulledRecord {
  const access = Object.entries(objectOf(content['credentialMapping'] ?? {})).map(([image, value]) => {
    const { kubernetesSecrets, kubernetesServiceAccounts, nodePodsAccessible } = objectOf(value);
    const known: RecordedAccess = {
      ...(kubernetesSecrets != null && { kubernetesSecrets: listOf(kubernetesSecrets).map(secretOf) }),
      ...(kubernetesServiceAccounts != null && {
        kubernetesServiceAccounts: listOf(kubernetesServiceAccounts).map(accountOf),
      }),
      ...(nodePodsAccessible === true && { nodePodsAccessible }),
    };
    return [image, known] as const;
  });
  const updatedAt = Date.parse(textOf(content['lastUpdatedTime']));
  return {
    imageRef: textOf(content['imageRef']),
    updatedAt: Number.isNaN(updatedAt) ? 0 : updatedAt,
    access: Object.fromEntries(access),
  };
}

const accountOf = (value: unknown): RecordedAccount => {
  const { uid, namespace, name } = objectOf(value);
  return { uid: textOf(uid), namespace: textOf(namespace), name: textOf(name) };
};
const secretOf = (value: unknown): RecordedSecret => ({
  ...accountOf(value),
  credentialHash: textOf(objectOf(value)['credentialHash'] ?? ''),
});

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('expected an object');
  return value as Record<string, unknown>;
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new Error('expected a list');
  return value;
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw new Error('expected a text');
  return value;
}
