import { deepStrictEqual as deepEqual, rejects } from 'node:assert/strict';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import {
  attachmentId,
  csiBlockPaths,
  csiDataFolder,
  csiPublishPath,
  csiStagingPath,
  readVolumeData,
  removeVolumeFolder,
  volumeCapability,
  writeVolumeData,
  type CsiDriver,
  type CsiVolumeUse,
} from '../../csi/index.js';
import { mountsUnder } from './csi-world.js';

/** A volume of a driver, taken through its calls in the order and with the paths of a kubelet. */
export class VolumeLife {
  readonly driver: CsiDriver;
  readonly root: string;
  readonly name: string;
  readonly use: CsiVolumeUse;
  readonly secrets: Readonly<Record<string, string>>;
  volumeId = '';
  volumeContext: Readonly<Record<string, string>> = {};
  publishContext: Readonly<Record<string, string>> = {};

  constructor(options: {
    driver: CsiDriver;
    root: string;
    name: string;
    use: CsiVolumeUse;
    secrets?: Readonly<Record<string, string>>;
  }) {
    this.driver = options.driver;
    this.root = options.root;
    this.name = options.name;
    this.use = options.use;
    this.secrets = options.secrets ?? {};
  }

  get capability(): ReturnType<typeof volumeCapability> {
    return volumeCapability(this.use, this.driver.capabilities.node);
  }

  get stages(): boolean {
    return this.driver.capabilities.node.has('STAGE_UNSTAGE_VOLUME');
  }

  get stagingPath(): string {
    return this.use.volumeMode === 'Block'
      ? csiBlockPaths(this.root, '', this.name).staging
      : csiStagingPath(this.root, this.driver.name, this.volumeId);
  }

  publishPath(podUid: string): string {
    return this.use.volumeMode === 'Block'
      ? csiBlockPaths(this.root, podUid, this.name).publish
      : csiPublishPath(this.root, podUid, this.name);
  }

  async create(bytes: number, parameters: Readonly<Record<string, string>>, signal: AbortSignal): Promise<void> {
    const volume = await this.driver.controller.create(
      { name: this.name, requiredBytes: bytes, capabilities: [this.capability], parameters, secrets: this.secrets },
      {},
      signal,
    );
    this.volumeId = volume.volumeId;
    this.volumeContext = volume.volumeContext;
  }

  async attach(signal: AbortSignal): Promise<void> {
    if (!this.driver.capabilities.controller.has('PUBLISH_UNPUBLISH_VOLUME')) return;
    this.publishContext = await this.driver.controller.publish(
      {
        volumeId: this.volumeId,
        nodeId: this.driver.nodeInfo.nodeId,
        capability: this.capability,
        readOnly: false,
        volumeContext: this.volumeContext,
        secrets: this.secrets,
      },
      {},
      signal,
    );
  }

  async detach(signal: AbortSignal): Promise<void> {
    if (!this.driver.capabilities.controller.has('PUBLISH_UNPUBLISH_VOLUME')) return;
    await this.driver.controller.unpublish(this.volumeId, this.driver.nodeInfo.nodeId, this.secrets, {}, signal);
  }

  async stage(signal: AbortSignal): Promise<void> {
    if (!this.stages) return;
    await this.recordStage();
    await this.callStage(signal);
  }

  /** What lies on disk before the driver is asked. */
  async recordStage(): Promise<void> {
    await mkdir(this.stagingPath, { recursive: true, mode: 0o750 });
    if (this.use.volumeMode === 'Filesystem') {
      await writeVolumeData(csiDataFolder(this.stagingPath), {
        driverName: this.driver.name,
        volumeHandle: this.volumeId,
      });
    }
  }

  async callStage(signal: AbortSignal): Promise<void> {
    await this.driver.node.stage(
      {
        volumeId: this.volumeId,
        stagingPath: this.stagingPath,
        capability: this.capability,
        publishContext: this.publishContext,
        volumeContext: this.volumeContext,
        secrets: this.secrets,
      },
      { object: this.name },
      signal,
    );
  }

  async publish(podUid: string, signal: AbortSignal, readOnly = false): Promise<string> {
    const targetPath = this.publishPath(podUid);
    await mkdir(dirname(targetPath), { recursive: true, mode: 0o750 });
    await writeVolumeData(this.#dataFolder(podUid), {
      specVolID: this.name,
      driverName: this.driver.name,
      volumeHandle: this.volumeId,
      nodeName: 'node',
      attachmentID: attachmentId(this.volumeId, this.driver.name, 'node'),
      volumeLifecycleMode: 'Persistent',
    });
    await this.driver.node.publish(
      {
        volumeId: this.volumeId,
        stagingPath: this.stages || this.use.volumeMode === 'Block' ? this.stagingPath : undefined,
        targetPath,
        capability: this.capability,
        readOnly,
        publishContext: this.publishContext,
        volumeContext: this.volumeContext,
        secrets: this.secrets,
      },
      { podUid, object: this.name },
      signal,
    );
    return targetPath;
  }

  /** As after a restart of the agent: from what lies on disk. */
  async unpublish(podUid: string, signal: AbortSignal): Promise<void> {
    const read = await readVolumeData(this.#dataFolder(podUid));
    if (read.kind !== 'read') throw new Error(`unpublish ${this.name}: vol_data.json is ${read.kind}`);
    const targetPath = this.publishPath(podUid);
    await this.driver.node.unpublish(read.data.volumeHandle, targetPath, { podUid, object: this.name }, signal);
    if (this.use.volumeMode === 'Filesystem') {
      deepEqual(await removeVolumeFolder(targetPath), { kind: 'removed' });
    } else {
      await rejects(stat(targetPath), { code: 'ENOENT' });
    }
  }

  async unstage(signal: AbortSignal): Promise<void> {
    if (!this.stages) return;
    await this.driver.node.unstage(this.volumeId, this.stagingPath, { object: this.name }, signal);
    if (this.use.volumeMode === 'Filesystem') {
      deepEqual(await removeVolumeFolder(this.stagingPath), { kind: 'removed' });
    }
  }

  async remove(signal: AbortSignal): Promise<void> {
    await this.driver.controller.delete(this.volumeId, this.secrets, {}, signal);
  }

  #dataFolder(podUid: string): string {
    return this.use.volumeMode === 'Block'
      ? csiBlockPaths(this.root, podUid, this.name).data
      : csiDataFolder(this.publishPath(podUid));
  }
}

/** The whole life with two pods, every call twice where the specification calls it idempotent. For any driver. */
export async function liveThrough(life: VolumeLife, bytes: number, parameters: Record<string, string>): Promise<void> {
  const { signal } = new AbortController();
  const { driver } = life;
  await life.create(bytes, parameters, signal);
  const { volumeId } = life;
  await life.create(bytes, parameters, signal);
  expect(life.volumeId).toBe(volumeId);
  await life.attach(signal);
  await life.attach(signal);
  await life.stage(signal);
  await life.stage(signal);
  const first = await life.publish('pod-1', signal);
  await life.publish('pod-1', signal);
  if (life.use.volumeMode === 'Filesystem') {
    await writeFile(join(first, 'greeting'), 'hello');
    const second = await life.publish('pod-2', signal);
    expect(await readFile(join(second, 'greeting'), 'utf8')).toBe('hello');
    if (driver.capabilities.node.has('GET_VOLUME_STATS')) {
      const stagingPath = life.stages ? life.stagingPath : undefined;
      const stats = await driver.node.stats({ volumeId, volumePath: first, stagingPath }, {}, signal);
      expect(stats.bytes?.total).toBeGreaterThan(0);
    }
    await life.unpublish('pod-2', signal);
  } else {
    expect((await stat(first)).isBlockDevice()).toBe(true);
  }
  await life.unpublish('pod-1', signal);
  await driver.node.unpublish(volumeId, life.publishPath('pod-1'), {}, signal);
  await life.unstage(signal);
  if (life.stages) await driver.node.unstage(volumeId, life.stagingPath, {}, signal);
  await life.detach(signal);
  await life.detach(signal);
  await life.remove(signal);
  await life.remove(signal);
  expect(await mountsUnder(life.root)).toEqual([]);
}
