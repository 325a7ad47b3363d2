import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CSIDriver, PersistentVolumeClaim, Pod, Volume } from '../../../../agent/api/index.js';
import type { BuiltExample } from '../../../csi/build-example.js';
import { CsiWorld } from '../../../csi/csi-world.js';
import { ExampleDriver } from '../../../csi/example-driver.js';
import { podOf, VolumeWorld, type WorldOptions } from '../volume-world.js';

/** The name of the example driver. */
export const name = 'folder.csi.example.com';

/** The example driver as a process, registered, and a volume manager of a machine without a cluster. */
export class CsiVolumeWorld implements AsyncDisposable {
  readonly csi: CsiWorld;
  readonly driver: ExampleDriver;
  readonly volumes: VolumeWorld;
  readonly #folder: string;

  private constructor(csi: CsiWorld, driver: ExampleDriver, volumes: VolumeWorld, folder: string) {
    this.csi = csi;
    this.driver = driver;
    this.volumes = volumes;
    this.#folder = folder;
  }

  static async open(
    { main }: BuiltExample,
    flags: readonly string[] = [],
    spec: Partial<CSIDriver['spec']> = {},
    { callTimeoutMs = 60_000, ...options }: Omit<WorldOptions, 'drivers'> & { readonly callTimeoutMs?: number } = {},
  ): Promise<CsiVolumeWorld> {
    const folder = await mkdtemp(join(tmpdir(), 'berth-driver-'));
    const csi = await CsiWorld.open({ callTimeoutMs });
    const driver = new ExampleDriver({
      main,
      name,
      nodeId: 'here',
      folder,
      registry: csi.registry,
      flags,
    });
    await driver.start();
    await csi.drivers.whenReady(name, AbortSignal.timeout(60_000));
    const volumes = await VolumeWorld.open({ ...options, drivers: { csi: csi.drivers } });
    volumes.objects.put('CSIDriver', {
      metadata: { name },
      spec: { volumeLifecycleModes: ['Persistent', 'Ephemeral'], podInfoOnMount: true, ...spec },
    });
    volumes.objects.put('StorageClass', {
      metadata: { name: 'folder' },
      provisioner: name,
      allowVolumeExpansion: true,
    });
    volumes.objects.put('StorageClass', {
      metadata: { name: 'image' },
      provisioner: name,
      allowVolumeExpansion: true,
      parameters: { kind: 'image' },
    });
    return new CsiVolumeWorld(csi, driver, volumes, folder);
  }

  claim(claimName: string, spec: PersistentVolumeClaim['spec'] = {}): void {
    this.volumes.objects.put('PersistentVolumeClaim', {
      metadata: { name: claimName, namespace: 'default', uid: `uid-of-${claimName}` },
      spec: {
        storageClassName: 'folder',
        accessModes: ['ReadWriteOnce'],
        resources: { requests: { storage: '16Mi' } },
        ...spec,
      },
    });
  }

  async restartDriver(): Promise<void> {
    await this.driver.start();
    await this.csi.drivers.whenReady(name, AbortSignal.timeout(60_000));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.volumes[Symbol.asyncDispose]();
    await this.driver[Symbol.asyncDispose]();
    await this.csi[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true });
  }
}

export const claimed = (claimName: string): Volume[] => [{ name: 'data', persistentVolumeClaim: { claimName } }];
export const podUsing = (claimName: string, fsGroup?: number): Pod =>
  podOf({ volumes: claimed(claimName), pod: fsGroup === undefined ? {} : { securityContext: { fsGroup } } });
