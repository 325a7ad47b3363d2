import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hostProgram } from '../support/host-program.js';

const repository = fileURLToPath(new URL('../../', import.meta.url));
const examples = join('deviceplugin', 'examples');

/** The example plugins compiled from the sources as they are now, so that they can run as processes of their own. */
export class BuiltExamples implements AsyncDisposable {
  readonly gpuPlugin: string;
  readonly firstPlugin: string;
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.gpuPlugin = join(folder, 'dist', examples, 'gpu', 'main.js');
    this.firstPlugin = join(folder, 'dist', examples, 'first-plugin.js');
  }

  static async build(): Promise<BuiltExamples> {
    const folder = await mkdtemp(join(tmpdir(), 'berth-plugins-'));
    const config = {
      extends: join(repository, 'tsconfig.json'),
      compilerOptions: {
        outDir: join(folder, 'dist'),
        rootDir: repository,
        incremental: false,
        tsBuildInfoFile: null,
        typeRoots: [join(repository, 'node_modules', '@types')],
      },
      files: [join(repository, examples, 'gpu', 'main.ts'), join(repository, examples, 'first-plugin.ts')],
      include: [],
    };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    await symlink(join(repository, 'node_modules'), join(folder, 'node_modules'));
    await symlink(join(repository, 'proto'), join(folder, 'proto'));
    const tsc = join(repository, 'node_modules', 'typescript', 'bin', 'tsc');
    await hostProgram([process.execPath, tsc, '-p', join(folder, 'tsconfig.json')], 60_000);
    return new BuiltExamples(folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
