import { chmod, copyFile, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { noRecorder } from '../../../../base/call-recorder.js';
import { systemClock } from '../../../../base/clock.js';
import { silentLogger } from '../../../../base/log.js';
import { programSucceeded, runProgram, type RunProgram } from '../../../../base/run-program.js';
import { FlexVolumeRegistry } from '../../../../csi/index.js';
import { removeWithoutLeaks } from '../../../csi/csi-world.js';
import { tryHostProgram } from '../../../support/host-program.js';
import { VolumeWorld, type WorldOptions } from '../volume-world.js';

const examples = fileURLToPath(new URL('../../../../csi/flexvolume/examples/', import.meta.url));
export const withoutJq = process.env['CI'] !== 'true' && !programSucceeded(await tryHostProgram(['jq', '--version']));
if (withoutJq) process.stderr.write('SKIPPED: the example FlexVolume drivers need jq\n');

/** The registry with a folder of drivers, and a volume manager on it. */
export class FlexWorld implements AsyncDisposable {
  readonly #registry: FlexVolumeRegistry;
  readonly drivers: string;
  readonly volumes: VolumeWorld;

  private constructor(registry: FlexVolumeRegistry, drivers: string, volumes: VolumeWorld) {
    this.#registry = registry;
    this.drivers = drivers;
    this.volumes = volumes;
  }

  static async open(
    run: RunProgram = runProgram,
    standalone = true,
    options: Pick<WorldOptions, 'diskMegabytes' | 'patienceMs' | 'attachesHere'> = {},
  ): Promise<FlexWorld> {
    const folder = await mkdtemp(join(tmpdir(), 'berth-flex-'));
    for (const [vendor, program] of [
      ['example.com~scratch', 'scratch'],
      ['example.com~loopback', 'loopback'],
    ] as const) {
      await mkdir(join(folder, 'exec', vendor), { recursive: true });
      await copyFile(join(examples, vendor, program), join(folder, 'exec', vendor, program));
      await chmod(join(folder, 'exec', vendor, program), 0o755);
    }
    const registry = new FlexVolumeRegistry(
      {
        folder: join(folder, 'exec'),
        env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', BERTH_LOOPBACK_STATE: join(folder, 'state') },
      },
      { runProgram: run, recorder: noRecorder, clock: systemClock, log: silentLogger },
    );
    await registry.start();
    return new FlexWorld(
      registry,
      folder,
      await VolumeWorld.open({ ...options, run, standalone, drivers: { flexVolumes: registry } }),
    );
  }

  /** A driver of the test's own beside the examples. */
  async install(name: string, script: string): Promise<void> {
    const folder = join(this.drivers, 'exec', `example.com~${name}`);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, name), script, { mode: 0o755 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.volumes[Symbol.asyncDispose]();
    await this.#registry[Symbol.asyncDispose]();
    await removeWithoutLeaks(this.drivers);
  }
}
