import { attachmentId, type CsiDriver } from '../../../../csi/index.js';
import type { CSIDriver as CsiDriverObject } from '../../../api/index.js';
import { readSecret, type PluginContext } from '../../plugin-context.js';
import { VolumeProblem } from '../../volume-error.js';
import type { PodVolume } from '../../volume-plugin.js';
import { subjectOf } from '../flex-volume.js';
import { capabilityOf, groupDecision, type CsiSource } from './csi-source.js';

/** True when the volume must be attached to the node before it is staged. */
export function needsAttach(
  source: CsiSource,
  driver: CsiDriver,
  object: CsiDriverObject | undefined,
  standalone: boolean,
): boolean {
  if (source.inline) return false;
  if (standalone) return driver.capabilities.controller.has('PUBLISH_UNPUBLISH_VOLUME');
  return object?.spec.attachRequired ?? true;
}

/** The publish context of a volume that is attached. Fails as `unavailable` while it is not; the pod is told when that changes. */
export async function attachCsi(
  volume: PodVolume,
  source: CsiSource,
  driver: CsiDriver,
  context: PluginContext,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  return context.standalone
    ? await attachByController(volume, source, driver, context, signal)
    : await attachedByCluster(volume, source, context, signal);
}

async function attachedByCluster(
  volume: PodVolume,
  source: CsiSource,
  { read, nodeName }: PluginContext,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  const name = attachmentId(source.handle, source.driver, nodeName);
  const attachment = await read(volume.uid, 'VolumeAttachment', '', name, signal);
  if (!attachment) {
    throw new VolumeProblem(
      'unavailable',
      `the cluster has not begun to attach volume ${source.handle} of ${source.driver} to node ${nodeName} (VolumeAttachment ${name} does not exist)`,
    );
  }
  const { attached, attachError, attachmentMetadata = {} } = attachment.status ?? {};
  if (attached) return attachmentMetadata;
  const words = attachError?.message ? `: ${attachError.message}` : '';
  throw new VolumeProblem(
    'unavailable',
    `volume ${source.handle} of ${source.driver} is not attached to node ${nodeName} yet (VolumeAttachment ${name})${words}`,
  );
}

async function attachByController(
  volume: PodVolume,
  source: CsiSource,
  driver: CsiDriver,
  { read }: PluginContext,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  const namespace = volume.pod.metadata?.namespace ?? 'default';
  const { values } = await readSecret(read, volume.uid, source.controllerPublishSecret, namespace, signal);
  return await driver.controller.publish(
    {
      volumeId: source.handle,
      nodeId: driver.nodeInfo.nodeId,
      capability: capabilityOf(
        volume,
        source,
        driver,
        groupDecision(volume, source, driver, undefined),
        [],
        driver.capabilities.controller,
      ),
      // A driver that cannot must not be told to.
      readOnly: source.readOnly && driver.capabilities.controller.has('PUBLISH_READONLY'),
      volumeContext: source.attributes,
      secrets: values,
    },
    subjectOf(volume),
    signal,
  );
}
