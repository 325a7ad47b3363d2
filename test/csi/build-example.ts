import { BuiltProgram } from '../support/built-program.js';

const source = 'csi/driver/examples/main.ts';

/** The example driver, so that it can run as a process of its own. */
export class BuiltExample implements AsyncDisposable {
  readonly main: string;
  readonly #program: BuiltProgram;

  private constructor(program: BuiltProgram) {
    this.#program = program;
    this.main = program.pathOf(source);
  }

  static async build(): Promise<BuiltExample> {
    return new BuiltExample(await BuiltProgram.build([source]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]();
  }
}
