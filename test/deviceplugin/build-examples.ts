import { BuiltProgram } from '../support/built-program.js';

const gpu = 'deviceplugin/examples/gpu/main.ts';
const first = 'deviceplugin/examples/first-plugin.ts';

/** The example plugins, so that they can run as processes of their own. */
export class BuiltExamples implements AsyncDisposable {
  readonly gpuPlugin: string;
  readonly firstPlugin: string;
  readonly #programs: BuiltProgram;

  private constructor(programs: BuiltProgram) {
    this.#programs = programs;
    this.gpuPlugin = programs.pathOf(gpu);
    this.firstPlugin = programs.pathOf(first);
  }

  static async build(): Promise<BuiltExamples> {
    return new BuiltExamples(await BuiltProgram.build([gpu, first]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#programs[Symbol.asyncDispose]();
  }
}
