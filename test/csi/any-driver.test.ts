import { spawn } from 'node:child_process';
import { access, mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { systemClock } from '../../base/clock.js';
import { noRecorder } from '../../base/call-recorder.js';
import { silentLogger } from '../../base/log.js';
import { CsiConnection } from '../../csi/driver/csi-connection.js';
import { CsiDrivers, type CsiVolumeUse } from '../../csi/index.js';
import { removeWithoutLeaks } from './csi-world.js';
import { programInPath } from './program-in-path.js';
import { VolumeLife, liveThrough } from './volume-life.js';

/**
 * The life of a volume on any CSI driver:
 *   BERTH_TEST_CSI_SOCKET      the socket of a driver that runs already
 *   BERTH_TEST_CSI_PARAMETERS  JSON, the parameters of its StorageClass
 *   BERTH_TEST_CSI_BLOCK=1     it does block volumes too
 * or, when `hostpathplugin` (kubernetes-csi/csi-driver-host-path) is in the PATH or named by BERTH_TEST_HOSTPATHPLUGIN, on that.
 */
const socket = process.env['BERTH_TEST_CSI_SOCKET'];
const hostpath = await programInPath('hostpathplugin', 'BERTH_TEST_HOSTPATHPLUGIN');
const parameters = JSON.parse(process.env['BERTH_TEST_CSI_PARAMETERS'] ?? '{}') as Record<string, string>;
const { signal } = new AbortController();

if (socket === undefined && hostpath === undefined) {
  process.stderr.write('SKIPPED: no foreign CSI driver (BERTH_TEST_CSI_SOCKET, or hostpathplugin in the PATH)\n');
}

const uses: ReadonlyArray<readonly [string, CsiVolumeUse]> = [
  ['file system', { accessMode: 'ReadWriteOnce', volumeMode: 'Filesystem' }],
  ['block device', { accessMode: 'ReadWriteOnce', volumeMode: 'Block' }],
];

test.skipIf(socket === undefined).each(uses)('a driver that runs already: %s', async (_what, use) => {
  if (use.volumeMode === 'Block' && process.env['BERTH_TEST_CSI_BLOCK'] !== '1') return;
  await live(socket ?? '', use);
});

test
  .skipIf(hostpath === undefined)
  .each([
    ...uses.map(([what, use]) => [what, use, [] as string[]] as const),
    ...uses.map(([what, use]) => [`${what}, attached`, use, ['--enable-attach']] as const),
  ])('the host path driver of the CSI project: %s', async (_what, use, flags) => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-hostpath-'));
  const endpoint = join(folder, 'csi.sock');
  await mkdir(join(folder, 'state'));
  const child = spawn(
    hostpath ?? '',
    [
      '--drivername=hostpath.csi.k8s.io',
      `--endpoint=unix://${endpoint}`,
      '--nodeid=node-1',
      `--statedir=${join(folder, 'state')}`,
      '--check-volume-lifecycle=true',
      ...flags,
    ],
    { stdio: 'ignore', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } },
  );
  try {
    await vi.waitFor(() => access(endpoint), { timeout: 60_000 });
    await live(endpoint, use);
  } finally {
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    await removeWithoutLeaks(folder);
  }
});

async function live(endpoint: string, use: CsiVolumeUse): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'berth-any-'));
  const name = await driverName(endpoint);
  using drivers = new CsiDrivers({}, { recorder: noRecorder, clock: systemClock, log: silentLogger });
  const driver = await drivers.connect(name, endpoint, signal);
  expect(driver.nodeInfo.nodeId).not.toBe('');
  try {
    const volume = new VolumeLife({ driver, root, name: `berth-test-${process.pid}-${use.volumeMode}`, use });
    await liveThrough(volume, 64 * 1024 * 1024, parameters);
  } finally {
    await removeWithoutLeaks(root);
  }
}

async function driverName(endpoint: string): Promise<string> {
  using connection = new CsiConnection({ driver: 'unknown', endpoint }, noRecorder);
  return (await connection.identity('getPluginInfo', {}, signal)).name ?? '';
}
