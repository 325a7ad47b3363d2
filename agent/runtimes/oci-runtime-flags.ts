import { isAbsolute } from 'node:path';
import type { ConfigProblem } from '../config/kubelet/index.js';

/** `--oci-runtime NAME=PATH`, the text of a pair of `ociRuntimes`: the program of a RuntimeClass handler. */
export function parseOciRuntimes(
  texts: readonly string[],
  wrong: (problem: ConfigProblem) => void,
): Record<string, string> {
  const programs: Record<string, string> = {};
  for (const text of texts) {
    const [name = '', ...rest] = text.split('=');
    const program = rest.join('=');
    const problem = !/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name)
      ? 'expected NAME=PATH, where NAME is the handler of a RuntimeClass'
      : !isAbsolute(program)
        ? 'expected NAME=PATH, where PATH is absolute'
        : Object.hasOwn(programs, name)
          ? `the handler ${name} is given twice`
          : undefined;
    if (problem === undefined) programs[name] = program;
    else wrong({ path: '--oci-runtime', message: `${JSON.stringify(text)}: ${problem}` });
  }
  return programs;
}
