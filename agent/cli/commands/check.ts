import { cpus, hostname } from 'node:os';
import { join } from 'node:path';
import { checkHost, hasLack, packagesToInstall, realHost, renderCheck, type CheckGroup } from '../../check/index.js';
import { defaultConfig } from '../../config/agent-config.js';
import { usage } from '../client/index.js';
import { withoutKubeletFlags } from '../kubelet-flag-options.js';
import { renderValue } from '../output/print-objects.js';
import { checkConfiguration, type ConfigurationFlags } from './check-configuration.js';

export interface CheckFlags extends ConfigurationFlags {
  readonly output?: string | undefined;
  readonly runDir?: string | undefined;
  readonly stateDir?: string | undefined;
  readonly cniConfDir?: string | undefined;
}

/** Exit code 1 when pods could not be run. */
export async function check(raw: Readonly<Record<string, unknown>>): Promise<number> {
  const { kubelet, others } = withoutKubeletFlags(raw);
  const flags: CheckFlags = { ...others, ...(Object.keys(kubelet).length > 0 && { kubelet }) };
  const { output, runDir: givenRunDir, stateDir, cniConfDir, ...configured } = flags;
  if (output !== undefined && output !== 'json' && output !== 'yaml')
    throw usage(`check: read -o ${output}: expected json or yaml`);
  const { paths, serving } = defaultConfig(hostname(), cpus().length);
  const runDir = givenRunDir ?? paths.runDir;
  const configuration = await checkConfiguration(configured);
  const machine = await checkHost(realHost(new AbortController().signal), {
    stateDir: stateDir ?? paths.stateDir,
    runDir,
    podLogsDir: paths.podLogsDir,
    ...serving,
    socketPath: join(runDir, 'berth.sock'),
    confDir: cniConfDir ?? paths.cniConfDir,
    binDirs: paths.cniBinDirs,
  });
  const groups = [...(configuration ? [configuration] : []), ...machine];
  const lacking = hasLack(groups);
  if (output !== undefined) process.stdout.write(await renderValue({ ready: !lacking, groups }, output));
  else process.stdout.write(`${renderCheck(groups)}\n${summary(groups)}`);
  return lacking ? 1 : 0;
}

function summary(groups: readonly CheckGroup[]): string {
  if (!hasLack(groups)) return 'This machine can run pods.\n';
  const packages = packagesToInstall(groups);
  const install = packages.length > 1 ? `All packages at once: apt-get install ${packages.join(' ')}\n` : '';
  return `This machine cannot run pods yet; what is marked ✗ is missing.\n${install}`;
}
