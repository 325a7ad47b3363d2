import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hostProgram } from '../../support/host-program.js';

const repository = join(dirname(fileURLToPath(import.meta.url)), '../../..');

/** The runtime and its host script as plain JavaScript, so that a bare `node` can run them and be killed. */
export class CompiledHost implements AsyncDisposable {
  readonly folder: string;
  readonly script: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.script = join(folder, 'dist/test/cri/support/runtime-host.js');
  }

  static async build(): Promise<CompiledHost> {
    const folder = await mkdtemp(join(tmpdir(), 'berth-host-'));
    const config = {
      extends: join(repository, 'tsconfig.json'),
      compilerOptions: {
        outDir: join(folder, 'dist'),
        rootDir: repository,
        incremental: false,
        typeRoots: [join(repository, 'node_modules/@types')],
      },
      files: [join(repository, 'test/cri/support/runtime-host.ts')],
      include: [],
    };
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    try {
      await hostProgram([join(repository, 'node_modules/.bin/tsc'), '-p', join(folder, 'tsconfig.json')], 120_000);
    } catch (err) {
      await rm(folder, { recursive: true });
      throw err;
    }
    return new CompiledHost(folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
