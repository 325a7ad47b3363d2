import { attachmentId, type CsiDriver } from '../../../../csi/index.js';
import type { CSIDriver as CsiDriverObject } from '../../../api/index.js';
import { readSecret, type PluginContext } from '../../plugin-context.js';
import { VolumeProblem } from '../../volume-error.js';
import type { PodVolume } from '../../volume-plugin.js';
import { subjectOf } from '../flex-volume.js';
import type { CsiDriverSource } from './csi-driver-source.js';
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

export interface AttachQuestion {
  readonly volume: PodVolume;
  readonly source: CsiSource;
  readonly driver: CsiDriver;
  readonly object: CsiDriverObject | undefined;
  readonly drivers: CsiDriverSource;
}

/** The publish context of a volume that is attached. Fails as `unavailable` while it is not; the pod is told when that changes. */
export async function attachCsi(
  question: AttachQuestion,
  context: PluginContext,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  if (context.standalone) return await attachByController(question, context, signal);
  // As in the kubelet: the cluster's side of a CSI driver makes VolumeAttachments real, and nodes may not write them.
  if (context.attachesHere)
    throw new VolumeProblem(
      'refused',
      `attaching volumes from the kubelet is not supported: the volumes of ${question.source.driver} need enableControllerAttachDetach: true`,
    );
  return await attachedByCluster(question, context, signal);
}

/** RESOURCE_EXHAUSTED of gRPC, as an attacher writes it down. */
const exhausted = 8;

async function attachedByCluster(
  { volume, source, object, drivers }: AttachQuestion,
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
  // As in the kubelet, for drivers whose limit may change: the scheduler did not know that the node is full, and shall choose anew.
  const isFull = attachError?.errorCode === exhausted && (object?.spec.nodeAllocatableUpdatePeriodSeconds ?? 0) > 0;
  if (isFull) drivers.noRoom(source.driver);
  throw new VolumeProblem(
    isFull ? 'no-room' : 'unavailable',
    `volume ${source.handle} of ${source.driver} is not attached to node ${nodeName} yet (VolumeAttachment ${name})${words}`,
  );
}

async function attachByController(
  { volume, source, driver }: AttachQuestion,
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
