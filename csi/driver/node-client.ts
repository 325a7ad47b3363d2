import type { CallSubject } from '../../base/call-recorder.js';
import type { VolumeCapability } from '../../proto/generated/csi-v1.js';
import type { CsiConnection } from './csi-connection.js';
import { malformedAnswer } from './csi-error.js';

export interface NodeInfo {
  readonly nodeId: string;
  /** Undefined: no limit. */
  readonly maxVolumes: number | undefined;
  readonly topology: Readonly<Record<string, string>>;
}

type Context = Readonly<Record<string, string>>;

export interface StageRequest {
  readonly volumeId: string;
  /** A folder that exists, on the node for the whole volume. */
  readonly stagingPath: string;
  readonly capability: VolumeCapability;
  /** What ControllerPublishVolume or the VolumeAttachment's metadata said. */
  readonly publishContext: Context;
  readonly volumeContext: Context;
  readonly secrets: Context;
}

export interface PublishRequest {
  readonly volumeId: string;
  /** Set when the driver stages, and for block volumes always. */
  readonly stagingPath: string | undefined;
  /** Its folder exists; the driver makes the path itself. */
  readonly targetPath: string;
  readonly capability: VolumeCapability;
  readonly readOnly: boolean;
  readonly publishContext: Context;
  readonly volumeContext: Context;
  readonly secrets: Context;
}

export interface NodeExpandRequest {
  readonly volumeId: string;
  readonly volumePath: string;
  readonly stagingPath: string | undefined;
  readonly requiredBytes: number;
  readonly capability: VolumeCapability;
  readonly secrets: Context;
}

export interface VolumeAmount {
  readonly total: number;
  readonly used: number;
  readonly available: number;
}

export interface CsiVolumeStats {
  readonly bytes: VolumeAmount | undefined;
  readonly inodes: VolumeAmount | undefined;
  /** Set when the driver has VOLUME_CONDITION. */
  readonly condition: { readonly abnormal: boolean; readonly message: string } | undefined;
}

/**
 * The node service. Every call is idempotent by the specification and rejects with `CsiError`; look at its `certainty`
 * before forgetting what was asked for.
 */
export class NodeClient {
  readonly #connection: CsiConnection;

  constructor(connection: CsiConnection) {
    this.#connection = connection;
  }

  async getInfo(signal: AbortSignal): Promise<NodeInfo> {
    const answer = await this.#connection.node('nodeGetInfo', {}, {}, signal);
    const { nodeId = '', maxVolumesPerNode = 0 } = answer;
    if (nodeId === '') throw malformedAnswer(this.#connection.driver, 'NodeGetInfo', 'it returned no node id');
    if (maxVolumesPerNode < 0) {
      throw malformedAnswer(this.#connection.driver, 'NodeGetInfo', `a limit of ${maxVolumesPerNode} volumes`);
    }
    return {
      nodeId,
      maxVolumes: maxVolumesPerNode === 0 ? undefined : maxVolumesPerNode,
      topology: answer.accessibleTopology?.segments ?? {},
    };
  }

  async stage(request: StageRequest, subject: CallSubject, signal: AbortSignal): Promise<void> {
    await this.#connection.node(
      'nodeStageVolume',
      {
        volumeId: request.volumeId,
        publishContext: request.publishContext,
        stagingTargetPath: request.stagingPath,
        volumeCapability: request.capability,
        secrets: request.secrets,
        volumeContext: request.volumeContext,
      },
      subject,
      signal,
    );
  }

  async unstage(volumeId: string, stagingPath: string, subject: CallSubject, signal: AbortSignal): Promise<void> {
    await this.#connection.node('nodeUnstageVolume', { volumeId, stagingTargetPath: stagingPath }, subject, signal);
  }

  async publish(request: PublishRequest, subject: CallSubject, signal: AbortSignal): Promise<void> {
    await this.#connection.node(
      'nodePublishVolume',
      {
        volumeId: request.volumeId,
        publishContext: request.publishContext,
        stagingTargetPath: request.stagingPath ?? '',
        targetPath: request.targetPath,
        volumeCapability: request.capability,
        readonly: request.readOnly,
        secrets: request.secrets,
        volumeContext: request.volumeContext,
      },
      subject,
      signal,
    );
  }

  async unpublish(volumeId: string, targetPath: string, subject: CallSubject, signal: AbortSignal): Promise<void> {
    await this.#connection.node('nodeUnpublishVolume', { volumeId, targetPath }, subject, signal);
  }

  async stats(
    request: { readonly volumeId: string; readonly volumePath: string; readonly stagingPath: string | undefined },
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<CsiVolumeStats> {
    const { volumeId, volumePath, stagingPath } = request;
    const answer = await this.#connection.node(
      'nodeGetVolumeStats',
      { volumeId, volumePath, stagingTargetPath: stagingPath ?? '' },
      subject,
      signal,
    );
    const amount = (unit: 'BYTES' | 'INODES'): VolumeAmount | undefined => {
      const usage = answer.usage?.find((entry) => entry.unit === unit);
      if (usage === undefined) return undefined;
      return { total: usage.total ?? 0, used: usage.used ?? 0, available: usage.available ?? 0 };
    };
    const condition = answer.volumeCondition;
    return {
      bytes: amount('BYTES'),
      inodes: amount('INODES'),
      condition:
        condition == null ? undefined : { abnormal: condition.abnormal ?? false, message: condition.message ?? '' },
    };
  }

  /** The size the volume has now; undefined when the driver does not say. */
  async expand(request: NodeExpandRequest, subject: CallSubject, signal: AbortSignal): Promise<number | undefined> {
    const answer = await this.#connection.node(
      'nodeExpandVolume',
      {
        volumeId: request.volumeId,
        volumePath: request.volumePath,
        stagingTargetPath: request.stagingPath ?? '',
        capacityRange: { requiredBytes: request.requiredBytes },
        volumeCapability: request.capability,
        secrets: request.secrets,
      },
      subject,
      signal,
    );
    return answer.capacityBytes === 0 ? undefined : answer.capacityBytes;
  }
}
