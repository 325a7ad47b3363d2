import type { CallSubject } from '../../base/call-recorder.js';
import type { VolumeCapability } from '../../proto/generated/csi-v1.js';
import type { CsiConnection } from './csi-connection.js';
import { malformedAnswer } from './csi-error.js';

type Context = Readonly<Record<string, string>>;

export interface CreateVolumeArgs {
  /** The same name with the same arguments is the same volume: choose it once and keep it. */
  readonly name: string;
  readonly requiredBytes?: number | undefined;
  readonly limitBytes?: number | undefined;
  readonly capabilities: readonly VolumeCapability[];
  /** `parameters` of the StorageClass. */
  readonly parameters: Context;
  readonly secrets: Context;
  /** The topology of this node, so that the volume can be reached from it. */
  readonly topology?: Context | undefined;
}

export interface CreatedVolume {
  readonly volumeId: string;
  /** Undefined when the driver does not say. */
  readonly capacityBytes: number | undefined;
  readonly volumeContext: Context;
  /** Each an alternative; empty: reachable from everywhere. */
  readonly accessibleTopology: readonly Context[];
}

/**
 * The controller service, for a machine without a cluster: with one, its sidecars make these calls. Every call is
 * idempotent by the specification and rejects with `CsiError`. Look at the driver's capabilities first.
 */
export class ControllerClient {
  readonly #connection: CsiConnection;

  constructor(connection: CsiConnection) {
    this.#connection = connection;
  }

  /** CREATE_DELETE_VOLUME. */
  async create(args: CreateVolumeArgs, subject: CallSubject, signal: AbortSignal): Promise<CreatedVolume> {
    const topology =
      args.topology === undefined || Object.keys(args.topology).length === 0 ? [] : [{ segments: args.topology }];
    const { volume } = await this.#connection.controller(
      'createVolume',
      {
        name: args.name,
        capacityRange: { requiredBytes: args.requiredBytes ?? 0, limitBytes: args.limitBytes ?? 0 },
        volumeCapabilities: args.capabilities,
        parameters: args.parameters,
        secrets: args.secrets,
        ...(topology.length === 0 ? {} : { accessibilityRequirements: { requisite: topology, preferred: topology } }),
      },
      subject,
      signal,
    );
    if (volume == null || volume.volumeId === undefined || volume.volumeId === '') {
      throw malformedAnswer(this.#connection.driver, 'CreateVolume', 'it returned no volume id');
    }
    return {
      volumeId: volume.volumeId,
      capacityBytes: volume.capacityBytes === 0 ? undefined : volume.capacityBytes,
      volumeContext: volume.volumeContext ?? {},
      accessibleTopology: (volume.accessibleTopology ?? []).map((entry) => entry.segments ?? {}),
    };
  }

  /** CREATE_DELETE_VOLUME. Succeeds when there is no such volume. */
  async delete(volumeId: string, secrets: Context, subject: CallSubject, signal: AbortSignal): Promise<void> {
    await this.#connection.controller('deleteVolume', { volumeId, secrets }, subject, signal);
  }

  /** PUBLISH_UNPUBLISH_VOLUME: attach. Returns the publish context of stage and publish. */
  async publish(
    request: {
      readonly volumeId: string;
      /** As NodeGetInfo said, not the Node's name. */
      readonly nodeId: string;
      readonly capability: VolumeCapability;
      readonly readOnly: boolean;
      readonly volumeContext: Context;
      readonly secrets: Context;
    },
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<Context> {
    const answer = await this.#connection.controller(
      'controllerPublishVolume',
      {
        volumeId: request.volumeId,
        nodeId: request.nodeId,
        volumeCapability: request.capability,
        readonly: request.readOnly,
        volumeContext: request.volumeContext,
        secrets: request.secrets,
      },
      subject,
      signal,
    );
    return answer.publishContext ?? {};
  }

  /** PUBLISH_UNPUBLISH_VOLUME: detach. Succeeds when it is not attached. */
  async unpublish(
    volumeId: string,
    nodeId: string,
    secrets: Context,
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#connection.controller('controllerUnpublishVolume', { volumeId, nodeId, secrets }, subject, signal);
  }

  /** EXPAND_VOLUME. */
  async expand(
    request: {
      readonly volumeId: string;
      readonly requiredBytes: number;
      readonly limitBytes?: number | undefined;
      readonly capability: VolumeCapability;
      readonly secrets: Context;
    },
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<{ readonly capacityBytes: number; readonly nodeExpansionRequired: boolean }> {
    const answer = await this.#connection.controller(
      'controllerExpandVolume',
      {
        volumeId: request.volumeId,
        capacityRange: { requiredBytes: request.requiredBytes, limitBytes: request.limitBytes ?? 0 },
        volumeCapability: request.capability,
        secrets: request.secrets,
      },
      subject,
      signal,
    );
    return {
      capacityBytes: answer.capacityBytes ?? 0,
      nodeExpansionRequired: answer.nodeExpansionRequired ?? false,
    };
  }

  /** Whether an existing volume can be used this way; the driver's reason when not. */
  async validate(
    request: {
      readonly volumeId: string;
      readonly volumeContext: Context;
      readonly capabilities: readonly VolumeCapability[];
      readonly secrets: Context;
    },
    subject: CallSubject,
    signal: AbortSignal,
  ): Promise<{ readonly confirmed: boolean; readonly message: string }> {
    const answer = await this.#connection.controller(
      'validateVolumeCapabilities',
      {
        volumeId: request.volumeId,
        volumeContext: request.volumeContext,
        volumeCapabilities: request.capabilities,
        secrets: request.secrets,
      },
      subject,
      signal,
    );
    return { confirmed: answer.confirmed != null, message: answer.message ?? '' };
  }
}
