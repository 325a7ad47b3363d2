import { crc32 } from 'node:zlib';
import type { ClaimInfo } from './claim-info.js';

/** The kubelet's `dra_manager_state`, checksum included: either agent reads what the other wrote. */
export function formatClaims(claims: readonly ClaimInfo[]): string {
  const body = JSON.stringify({
    kind: 'DRACheckpoint',
    apiVersion: 'checkpoint.dra.kubelet.k8s.io/v1',
    ClaimInfoStateList: claims.map((info) => ({
      ClaimUID: info.uid,
      ClaimName: info.name,
      Namespace: info.namespace,
      PodUIDs: Object.fromEntries([...info.podUids].map((uid) => [uid, {}])),
      DriverState: Object.fromEntries(
        [...info.drivers].map(([driver, devices]) => [
          driver,
          {
            Devices: devices.map((each) => ({
              PoolName: each.pool,
              DeviceName: each.device,
              ShareID: each.shareId ?? null,
              RequestNames: [...each.requests],
              CDIDeviceIDs: [...each.cdiDevices],
            })),
          },
        ]),
      ),
    })),
  });
  return JSON.stringify({ Data: body, Checksum: crc32(body) });
}
