import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Node, PersistentVolumeClaim, Pod, VolumeAttachment } from '../../../../agent/api/index.js';
import { loadService } from '../../../../proto/load.js';
import { NodeWorld } from '../../controlplane/cluster-world.js';
import { BuiltExample } from '../../../csi/build-example.js';
import { ExampleDriver } from '../../../csi/example-driver.js';
import { hasControlPlane, TestControlPlane } from '../../../support/control-plane.js';
import { untilAsync } from '../../../support/until-async.js';

const name = 'folder.csi.example.com';
const claimPath = '/api/v1/namespaces/default/persistentvolumeclaims/mine';
const mebibytes = 2 ** 20;

type Call = (request: object, done: (err: Error | null, answer: Record<string, unknown>) => void) => void;

/** The driver's controller, as the sidecars of a cluster call it. */
async function controller(socket: string, method: string, request: object): Promise<Record<string, unknown>> {
  const Service = loadService('csi-v1', 'csi.v1.Controller');
  const client = new Service(`unix://${socket}`, credentials.createInsecure());
  try {
    const call = (client as unknown as Record<string, Call>)[method]?.bind(client);
    if (!call) throw new Error(`the service has no ${method}`);
    return await new Promise((resolve, reject) => {
      call(request, (err, answer) => (err ? reject(err) : resolve(answer)));
    });
  } finally {
    client.close();
  }
}

const capability = { mount: { fsType: 'ext4' }, accessMode: { mode: 'SINGLE_NODE_WRITER' } };

describe.runIf(hasControlPlane())('a CSI volume of a real cluster, with its attach/detach controller', () => {
  let cluster: TestControlPlane;
  let example: BuiltExample;
  let folder: string;
  beforeAll(async () => {
    example = await BuiltExample.build();
    folder = await mkdtemp(join(tmpdir(), 'berth-driver-'));
    cluster = await TestControlPlane.start({ controllerManager: true });
  });
  afterAll(async () => {
    await cluster?.[Symbol.asyncDispose]();
    await example?.[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  test('is attached by the cluster, said to be in use, grown, reported, and detached when the pod is gone', async () => {
    await using node = await NodeWorld.open(cluster);
    const registry = join(node.world.config.paths.rootDir, 'plugins_registry');
    await mkdir(registry, { recursive: true });
    const driver = new ExampleDriver({
      ...{ main: example.main, name, nodeId: node.name, folder, registry },
      flags: ['--attach'],
    });
    await using _driver = driver;
    await driver.start();
    await using _run = await node.start({ statusEveryMs: 1000 });
    const api = async <T>(method: string, path: string, body?: object): Promise<T> =>
      (await cluster.api(method, path, body)).body as T;
    const made = await controller(driver.socket, 'createVolume', {
      name: 'pv-1',
      capacityRange: { requiredBytes: 16 * mebibytes },
      volumeCapabilities: [capability],
    });
    const { volumeId } = made['volume'] as { volumeId: string };

    await api('POST', '/apis/storage.k8s.io/v1/csidrivers', {
      metadata: { name },
      spec: { attachRequired: true, nodeAllocatableUpdatePeriodSeconds: 3600 },
    });
    await api('POST', '/apis/storage.k8s.io/v1/storageclasses', {
      metadata: { name: 'folder' },
      provisioner: name,
      allowVolumeExpansion: true,
    });
    const claimRef = { kind: 'PersistentVolumeClaim', namespace: 'default', name: 'mine' };
    await api('POST', '/api/v1/persistentvolumes', {
      metadata: { name: 'pv-1' },
      spec: {
        ...{ capacity: { storage: '16Mi' }, accessModes: ['ReadWriteOnce'], storageClassName: 'folder', claimRef },
        csi: { driver: name, volumeHandle: volumeId, fsType: 'ext4' },
      },
    });
    await api('POST', claimPath.replace(/\/mine$/, ''), {
      metadata: { name: 'mine' },
      spec: {
        ...{ storageClassName: 'folder', volumeName: 'pv-1', accessModes: ['ReadWriteOnce'] },
        resources: { requests: { storage: '16Mi' } },
      },
    });
    await cluster.until('the claim is bound', async () => {
      const claim = await api<PersistentVolumeClaim>('GET', claimPath);
      return claim.status?.phase === 'Bound' ? claim : undefined;
    });
    const words = '/api/v1/namespaces/default/configmaps';
    await api('POST', words, { metadata: { name: 'word' }, data: { word: 'one' } });
    await node.create(
      node.pod(
        'web',
        {
          volumes: [
            { name: 'data', persistentVolumeClaim: { claimName: 'mine' } },
            { name: 'word', configMap: { name: 'word' } },
          ],
        },
        {
          volumeMounts: [
            { name: 'data', mountPath: '/data' },
            { name: 'word', mountPath: '/word' },
          ],
        },
      ),
    );

    // The controller asks for the attachment; what is the external attacher's is done here.
    const attachments = '/apis/storage.k8s.io/v1/volumeattachments';
    const attachmentOf = async (volume: string): Promise<VolumeAttachment> =>
      await cluster.until(`the cluster wants ${volume} attached`, async () => {
        const { items } = await api<{ items: VolumeAttachment[] }>('GET', attachments);
        return items.find(({ spec }) => spec?.source?.persistentVolumeName === volume);
      });
    const attachment = await attachmentOf('pv-1');
    const uniqueName = `kubernetes.io/csi/${name}^${volumeId}`;
    const inUse = async (): Promise<readonly string[]> =>
      (await api<Node>('GET', `/api/v1/nodes/${node.name}`)).status?.volumesInUse ?? [];
    await cluster.until('the node says that it uses the volume', async () =>
      (await inUse()).includes(uniqueName) ? true : undefined,
    );
    const published = await controller(driver.socket, 'controllerPublishVolume', {
      ...{ volumeId, nodeId: node.name, volumeCapability: capability },
    });
    // Changes, not whole objects: others write to these too.
    await api('PATCH', `${attachments}/${attachment.metadata?.name ?? ''}/status`, {
      status: { attached: true, attachmentMetadata: published['publishContext'] },
    });
    await node.untilReady('web');

    // A second volume does not fit: the scheduler did not know that the node is full.
    const ownClaim = { kind: 'PersistentVolumeClaim', namespace: 'default', name: 'one-too-many' };
    await api('POST', '/api/v1/persistentvolumes', {
      metadata: { name: 'pv-2' },
      spec: {
        ...{ capacity: { storage: '16Mi' }, accessModes: ['ReadWriteOnce'], claimRef: ownClaim },
        csi: { driver: name, volumeHandle: 'none-such', fsType: 'ext4' },
      },
    });
    await api('POST', claimPath.replace(/\/mine$/, ''), {
      metadata: { name: 'one-too-many' },
      spec: {
        ...{ storageClassName: '', volumeName: 'pv-2', accessModes: ['ReadWriteOnce'] },
        resources: { requests: { storage: '16Mi' } },
      },
    });
    await node.create(
      node.pod(
        'crowded',
        { volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'one-too-many' } }] },
        { volumeMounts: [{ name: 'data', mountPath: '/data' }] },
      ),
    );
    const full = await attachmentOf('pv-2');
    await api('PATCH', `${attachments}/${full.metadata?.name ?? ''}/status`, {
      status: { attached: false, attachError: { message: 'no slot is left', errorCode: 8 } },
    });

    // As the external resizer: the volume has grown, its file system is the node's to do.
    await api('PATCH', claimPath, { spec: { resources: { requests: { storage: '32Mi' } } } });
    const condition = { type: 'FileSystemResizePending', status: 'True' };
    await api('PATCH', `${claimPath}/status`, {
      status: {
        conditions: [condition],
        allocatedResources: { storage: '32Mi' },
        allocatedResourceStatuses: { storage: 'NodeResizePending' },
      },
    });
    await driver.break({
      NodeExpandVolume: { action: 'fail', when: 'before', code: 13, message: 'not now', times: 1 },
    });
    await api('PATCH', '/api/v1/persistentvolumes/pv-1', { spec: { capacity: { storage: '32Mi' } } });
    // A node may not watch claims; whatever else wakes the pod saves the wait until it looks by itself.
    await api('PUT', `${words}/word`, { metadata: { name: 'word' }, data: { word: 'two' } });
    const failed = await cluster.until('the claim says why it did not grow', async () => {
      const { status } = await api<PersistentVolumeClaim>('GET', claimPath);
      return status?.conditions?.find(({ type }) => type === 'NodeResizeError') ?? undefined;
    });
    expect(failed.message).toContain('not now');
    const grown = await cluster.until('the claim has its new size', async () => {
      const { status } = await api<PersistentVolumeClaim>('GET', claimPath);
      return status?.capacity?.['storage'] === '32Mi' ? status : undefined;
    });
    expect(grown.conditions ?? []).toEqual([]);
    expect(grown.allocatedResourceStatuses?.['storage']).toBeUndefined();

    const crowded = await cluster.until('the pod whose volume does not fit is rejected', async () => {
      const { status } = await api<Pod>('GET', '/api/v1/namespaces/default/pods/crowded');
      return status?.phase === 'Failed' ? status : undefined;
    });
    expect(crowded).toMatchObject({
      reason: 'VolumeAttachmentLimitExceeded',
      message: expect.stringMatching(
        /^Pod was rejected: Node has reached its volume attachment limit, .*no slot is left/,
      ) as string,
    });
    await node.delete('crowded');
    await node.untilGone('crowded');
    await node.delete('web');
    await node.untilGone('web');
    await cluster.until('the node no longer uses it', async () => ((await inUse()).length === 0 ? true : undefined));
    await cluster.until('the cluster detaches it', async () => {
      const { items } = await api<{ items: VolumeAttachment[] }>('GET', attachments);
      return items.every(({ metadata }) => metadata?.deletionTimestamp !== undefined) ? true : undefined;
    });
    const left = async (): Promise<string[]> =>
      (await node.world.leftovers()).filter((line) => !line.includes('driver/examples'));
    await untilAsync('nothing is left', async () => (await left()).length === 0, { tell: left });
  });
});
