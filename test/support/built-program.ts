import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hostProgram } from './host-program.js';

const repository = fileURLToPath(new URL('../../', import.meta.url));

/** Programs compiled from the sources as they are now, into a folder of their own, so that they can run as processes. */
export class BuiltProgram implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Sources as paths in the repository. */
  static async build(sources: readonly string[], withinMs = 60_000): Promise<BuiltProgram> {
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
      files: sources.map((source) => join(repository, source)),
      include: [],
    };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    await symlink(join(repository, 'node_modules'), join(folder, 'node_modules'));
    await symlink(join(repository, 'proto'), join(folder, 'proto'));
    const tsc = join(repository, 'node_modules', 'typescript', 'bin', 'tsc');
    try {
      await hostProgram([process.execPath, tsc, '-p', join(folder, 'tsconfig.json')], withinMs);
    } catch (err) {
      await rm(folder, { recursive: true });
      throw err;
    }
    return new BuiltProgram(folder);
  }

  /** Where the program of a source lies. */
  pathOf(source: string): string {
    return join(this.#folder, 'dist', source.replace(/\.ts$/, '.js'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}
