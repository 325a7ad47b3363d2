import { cpus, hostname } from 'node:os';
import { join } from 'node:path';
import { checkHost, hasLack, realHost, renderCheck } from '../../check/index.js';
import { defaultConfig } from '../../config/agent-config.js';
import { usage } from '../client/index.js';
import { checkConfiguration, type ConfigurationFlags } from './check-configuration.js';

export interface CheckFlags extends ConfigurationFlags {
  readonly output?: string | undefined;
  readonly runDir?: string | undefined;
  readonly stateDir?: string | undefined;
  readonly cniConfDir?: string | undefined;
}

/** Exit code 1 when pods could not be run. */
export async function check(flags: CheckFlags): Promise<number> {
  if (flags.output !== undefined && flags.output !== 'json')
    throw usage(`check: read -o ${flags.output}: expected json`);
  const { paths, serving } = defaultConfig(hostname(), cpus().length);
  const runDir = flags.runDir ?? paths.runDir;
  const configuration = await checkConfiguration(flags);
  const machine = await checkHost(realHost(new AbortController().signal), {
    stateDir: flags.stateDir ?? paths.stateDir,
    runDir,
    podLogsDir: paths.podLogsDir,
    ...serving,
    socketPath: join(runDir, 'berth.sock'),
    confDir: flags.cniConfDir ?? paths.cniConfDir,
    binDirs: paths.cniBinDirs,
  });
  const groups = [...(configuration ? [configuration] : []), ...machine];
  const lacking = hasLack(groups);
  if (flags.output === 'json') process.stdout.write(`${JSON.stringify({ ready: !lacking, groups }, null, 2)}\n`);
  else {
    process.stdout.write(renderCheck(groups));
    process.stdout.write(
      lacking ? '\nThis machine cannot run pods yet; what is marked ✗ is missing.\n' : '\nThis machine can run pods.\n',
    );
  }
  return lacking ? 1 : 0;
}
