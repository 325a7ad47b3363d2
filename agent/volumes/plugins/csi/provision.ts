import { volumeCapability } from '../../../../csi/index.js';
import { quantityValue, type PersistentVolume, type PersistentVolumeClaim } from '../../../api/index.js';
import type { ControlPlane } from '../../../controlplane/control-plane.js';
import type { LocalProvisioner } from '../../claims/local-binder.js';
import { secretContent, type SecretRef } from '../../plugin-context.js';
import { VolumeProblem } from '../../volume-error.js';
import { classSecrets, type ClassSecrets } from './class-secrets.js';
import type { CsiDriverSource } from './csi-driver-source.js';

const provisionedBy = 'pv.kubernetes.io/provisioned-by';
/** Where the external provisioner notes what a deletion will need, for then there is no claim left to work it out from. */
const deletionSecretName = 'volume.kubernetes.io/provisioner-deletion-secret-name';
const deletionSecretNamespace = 'volume.kubernetes.io/provisioner-deletion-secret-namespace';

/** The same for the same claim, whatever became of the agent meanwhile. One that stands in a manifest has no uid. */
export function provisionedName({ metadata }: PersistentVolumeClaim): string {
  const { uid = '', namespace = 'default', name = '' } = metadata ?? {};
  return uid === '' ? `pvc-${namespace}-${name}` : `pvc-${uid}`;
}

/** Makes and deletes volumes of storage classes through the drivers' controller service, where no sidecar does. */
export function csiProvisioner(
  drivers: Pick<CsiDriverSource, 'get'>,
  objects: Pick<ControlPlane, 'get'>,
): LocalProvisioner {
  const valuesOf = async (ref: SecretRef | undefined, signal: AbortSignal): Promise<Record<string, string>> =>
    (await secretContent((namespace, name) => objects.get('Secret', namespace, name, signal), ref, 'default')).values;
  return {
    async create(claim, signal) {
      const className = claim.spec?.storageClassName ?? '';
      const storageClass = className === '' ? undefined : await objects.get('StorageClass', '', className, signal);
      if (!storageClass || storageClass.provisioner === 'kubernetes.io/no-provisioner') return undefined;
      const driver = drivers.get(storageClass.provisioner);
      if (!driver.capabilities.controller.has('CREATE_DELETE_VOLUME'))
        throw new VolumeProblem('unsupported', `CSI driver ${driver.name} cannot create volumes here`);
      const fsType = storageClass.parameters?.['csi.storage.k8s.io/fstype'];
      const name = provisionedName(claim);
      const requiredBytes = quantityValue(claim.spec?.resources?.requests?.['storage'] ?? '0');
      const accessModes = claim.spec?.accessModes ?? ['ReadWriteOnce'];
      const volumeMode = claim.spec?.volumeMode ?? 'Filesystem';
      const secrets = classSecrets(storageClass.parameters ?? {}, claim, name);
      const parameters = Object.fromEntries(
        Object.entries(storageClass.parameters ?? {}).filter(([key]) => !key.startsWith('csi.storage.k8s.io/')),
      );
      const made = await driver.controller.create(
        {
          name,
          requiredBytes,
          capabilities: accessModes.map((accessMode) =>
            volumeCapability(
              { accessMode, volumeMode, fsType, mountOptions: storageClass.mountOptions },
              driver.capabilities.controller,
            ),
          ),
          parameters,
          secrets: await valuesOf(secrets.provisioner, signal),
          topology: driver.capabilities.services.has('VOLUME_ACCESSIBILITY_CONSTRAINTS')
            ? driver.nodeInfo.topology
            : undefined,
        },
        { object: name },
        signal,
      );
      return {
        apiVersion: 'v1',
        kind: 'PersistentVolume',
        metadata: { name, annotations: { [provisionedBy]: driver.name, ...deletionSecret(secrets) } },
        spec: {
          accessModes,
          volumeMode,
          storageClassName: className,
          capacity: { storage: String(made.capacityBytes ?? requiredBytes) },
          mountOptions: storageClass.mountOptions,
          persistentVolumeReclaimPolicy: storageClass.reclaimPolicy === 'Retain' ? 'Retain' : 'Delete',
          csi: {
            driver: driver.name,
            volumeHandle: made.volumeId,
            volumeAttributes: made.volumeContext,
            fsType: volumeMode === 'Block' ? undefined : (fsType ?? 'ext4'),
            controllerPublishSecretRef: secrets['controller-publish'],
            nodeStageSecretRef: secrets['node-stage'],
            nodePublishSecretRef: secrets['node-publish'],
            controllerExpandSecretRef: secrets['controller-expand'],
            nodeExpandSecretRef: secrets['node-expand'],
          },
        },
      } satisfies PersistentVolume;
    },
    async grow(volume, claim, signal) {
      const {
        storageClassName = '',
        csi,
        accessModes = [],
        volumeMode = 'Filesystem',
        mountOptions,
      } = volume.spec ?? {};
      if (!csi || storageClassName === '') return undefined;
      const storageClass = await objects.get('StorageClass', '', storageClassName, signal);
      if (storageClass?.allowVolumeExpansion !== true) return undefined;
      const driver = drivers.get(csi.driver);
      const wanted = String(claim.spec?.resources?.requests?.['storage'] ?? '0');
      const withSize = (storage: string): PersistentVolume => ({
        ...volume,
        spec: { ...volume.spec, capacity: { storage } },
      });
      // A driver without the call leaves it all to the node.
      if (!driver.capabilities.controller.has('EXPAND_VOLUME')) {
        if (!driver.capabilities.node.has('EXPAND_VOLUME'))
          throw new VolumeProblem('unsupported', `CSI driver ${driver.name} cannot expand volumes`);
        return { volume: withSize(wanted), nodeMustGrow: true };
      }
      const grown = await driver.controller.expand(
        {
          volumeId: csi.volumeHandle,
          requiredBytes: quantityValue(wanted),
          capability: volumeCapability(
            { accessMode: accessModes[0] ?? 'ReadWriteOnce', volumeMode, fsType: csi.fsType, mountOptions },
            driver.capabilities.controller,
          ),
          secrets: await valuesOf(csi.controllerExpandSecretRef, signal),
        },
        { object: volume.metadata?.name },
        signal,
      );
      const enough = grown.capacityBytes <= quantityValue(wanted);
      return {
        volume: withSize(enough ? wanted : String(grown.capacityBytes)),
        nodeMustGrow: grown.nodeExpansionRequired,
      };
    },
    async delete({ metadata, spec }, signal) {
      if (!spec?.csi) return;
      const { [deletionSecretName]: secretName, [deletionSecretNamespace]: namespace } = metadata?.annotations ?? {};
      const secrets = await valuesOf({ name: secretName, namespace }, signal);
      const { controller } = drivers.get(spec.csi.driver);
      await controller.delete(spec.csi.volumeHandle, secrets, { object: metadata?.name }, signal);
    },
  };
}

function deletionSecret({ provisioner }: ClassSecrets): Record<string, string> {
  if (!provisioner) return {};
  return { [deletionSecretName]: provisioner.name, [deletionSecretNamespace]: provisioner.namespace };
}
