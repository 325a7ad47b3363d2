import type { DynamicResource } from '../../proto/generated/podresources-v1.js';

/** A device a driver prepared for a claim. */
export interface PreparedDevice {
  readonly pool: string;
  readonly device: string;
  readonly shareId: string | undefined;
  /** Requests of the claim it serves; empty for all. */
  readonly requests: readonly string[];
  readonly cdiDevices: readonly string[];
}

/** A claim on this node: which pods use it and what its drivers prepared. */
export interface ClaimInfo {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly podUids: ReadonlySet<string>;
  /** All drivers of the claim, also those that have not prepared it yet or have no devices for it. */
  readonly drivers: ReadonlyMap<string, readonly PreparedDevice[]>;
  /** All drivers answered since this agent started; asking again does no harm. */
  readonly prepared: boolean;
}

export const claimKey = (namespace: string, name: string): string => `${namespace}/${name}`;

/** A request of a list of alternatives (`request/alternative`) counts as the request. */
const baseRequest = (request: string): string => request.split('/')[0] ?? request;

export function devicesOfRequest(
  claim: ClaimInfo,
  request: string | undefined,
): ReadonlyArray<PreparedDevice & { readonly driver: string }> {
  return [...claim.drivers].flatMap(([driver, devices]) =>
    devices
      .filter(
        ({ requests }) => request === undefined || requests.length === 0 || requests.includes(baseRequest(request)),
      )
      .map((device) => ({ ...device, driver })),
  );
}

export function toDynamicResource(claim: ClaimInfo): DynamicResource {
  return {
    claimName: claim.name,
    claimNamespace: claim.namespace,
    claimResources: devicesOfRequest(claim, undefined).map(({ driver, pool, device, shareId, cdiDevices }) => ({
      driverName: driver,
      poolName: pool,
      deviceName: device,
      cdiDevices: cdiDevices.map((name) => ({ name })),
      ...(shareId === undefined ? {} : { shareId }),
    })),
  };
}
