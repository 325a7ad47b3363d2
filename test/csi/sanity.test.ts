import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeEnd, programSucceeded } from '../../base/run-program.js';
import { tryHostProgram } from '../support/host-program.js';
import { BuiltExample } from './build-example.js';
import { removeWithoutLeaks } from './csi-world.js';
import { ExampleDriver } from './example-driver.js';
import { programInPath } from './program-in-path.js';

/** The conformance suite of the CSI project (kubernetes-csi/csi-test), on the example driver. No Debian package has it. */
const sanity = await programInPath('csi-sanity', 'BERTH_TEST_CSI_SANITY');
if (sanity === undefined) process.stderr.write('SKIPPED: no csi-sanity in the PATH\n');

let built: BuiltExample;
beforeAll(async () => {
  built = await BuiltExample.build();
});
afterAll(async () => {
  await built[Symbol.asyncDispose]();
});

test.skipIf(sanity === undefined).each([
  ['folders, attached', ['--attach'], 'kind: directory', []],
  ['folders, without stage', ['--no-stage'], 'kind: directory', []],
  ['images', ['--mount-group'], 'kind: image', []],
  ['block devices', ['--attach'], 'kind: image', ['--csi.testvolumeaccesstype', 'block']],
])('the example driver conforms: %s', async (_what, flags, parameters, more) => {
  const folder = await mkdtemp(join(tmpdir(), 'berth-sanity-'));
  try {
    await mkdir(join(folder, 'driver'));
    await writeFile(join(folder, 'parameters.yaml'), `${parameters}\n`);
    await using driver = new ExampleDriver({
      main: built.main,
      name: 'folder.csi.example.com',
      nodeId: 'node-1',
      folder: join(folder, 'driver'),
      flags,
    });
    await driver.start();
    const paths = {
      endpoint: `unix://${driver.socket}`,
      mountdir: join(folder, 'mount'),
      stagingdir: join(folder, 'staging'),
    };
    const result = await tryHostProgram(
      [
        sanity ?? '',
        ...Object.entries(paths).flatMap(([name, path]) => [`--csi.${name}`, path]),
        '--csi.testvolumeparameters',
        join(folder, 'parameters.yaml'),
        '--csi.testvolumesize',
        String(16 * 1024 * 1024),
        '--csi.testvolumeexpandsize',
        String(32 * 1024 * 1024),
        '--ginkgo.no-color',
        '--ginkgo.succinct',
        ...more,
      ],
      100_000,
    );
    expect(programSucceeded(result) ? '' : describeEnd(result)).toBe('');
  } finally {
    await removeWithoutLeaks(folder);
  }
});
