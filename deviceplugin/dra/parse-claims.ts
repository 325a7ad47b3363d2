import { crc32 } from 'node:zlib';
import { z } from 'zod';
import type { ClaimInfo } from './claim-info.js';

const device = z.object({
  PoolName: z.string(),
  DeviceName: z.string(),
  ShareID: z.string().nullish(),
  RequestNames: z.array(z.string()).nullish(),
  CDIDeviceIDs: z.array(z.string()).nullish(),
});
const claim = z.object({
  ClaimUID: z.string(),
  ClaimName: z.string(),
  Namespace: z.string(),
  PodUIDs: z.record(z.string(), z.unknown()).nullish(),
  DriverState: z.record(z.string(), z.object({ Devices: z.array(device).nullish() })).nullish(),
});
const data = z.object({
  kind: z.literal('DRACheckpoint'),
  apiVersion: z.literal('checkpoint.dra.kubelet.k8s.io/v1'),
  ClaimInfoStateList: z.array(claim).nullish(),
});
const file = z.object({ Data: z.string(), Checksum: z.number() });

/** Throws with the reason. Nothing counts as prepared: drivers are asked again, which they must bear. */
export function parseClaims(text: string): readonly ClaimInfo[] {
  const outer = file.parse(JSON.parse(text));
  if (crc32(outer.Data) !== outer.Checksum) throw new Error('checksum mismatch');
  return (data.parse(JSON.parse(outer.Data)).ClaimInfoStateList ?? []).map((state) => ({
    uid: state.ClaimUID,
    name: state.ClaimName,
    namespace: state.Namespace,
    podUids: new Set(Object.keys(state.PodUIDs ?? {})),
    drivers: new Map(
      Object.entries(state.DriverState ?? {}).map(([driver, { Devices }]) => [
        driver,
        (Devices ?? []).map((each) => ({
          pool: each.PoolName,
          device: each.DeviceName,
          shareId: each.ShareID ?? undefined,
          requests: each.RequestNames ?? [],
          cdiDevices: each.CDIDeviceIDs ?? [],
        })),
      ]),
    ),
    prepared: false,
  }));
}
