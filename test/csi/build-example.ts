import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hostProgram } from '../support/host-program.js';

const repository = fileURLToPath(new URL('../../', import.meta.url));

/** The example driver compiled from the sources as they are now, so that it can run as a process of its own. */
export class BuiltExample implements AsyncDisposable {
  readonly main: string;
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.main = join(folder, 'dist', 'csi', 'driver', 'examples', 'main.js');
  }

  static async build(): Promise<BuiltExample> {
    const folder = await mkdtemp(join(tmpdir(), 'berth-example-'));
    const config = {
      extends: join(repository, 'tsconfig.json'),
      compilerOptions: {
        outDir: join(folder, 'dist'),
        rootDir: repository,
        incremental: false,
        tsBuildInfoFile: null,
        typeRoots: [join(repository, 'node_modules', '@types')],
      },
      files: [join(repository, 'csi', 'driver', 'examples', 'main.ts')],
      include: [],
    };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    await symlink(join(repository, 'node_modules'), join(folder, 'node_modules'));
    await symlink(join(repository, 'proto'), join(folder, 'proto'));
    const tsc = join(repository, 'node_modules', 'typescript', 'bin', 'tsc');
    await hostProgram([process.execPath, tsc, '-p', join(folder, 'tsconfig.json')], 60_000);
    return new BuiltExample(folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
