import { cpus, hostname } from 'node:os';
import type { CheckGroup, Finding } from '../../check/index.js';
import { ConfigError } from '../../config/kubelet/index.js';
import { loadConfig } from '../../config/load-config.js';

export interface ConfigurationFlags {
  readonly config?: string | undefined;
  readonly configDir?: string | undefined;
  readonly imageCredentialProviderConfig?: string | undefined;
  readonly imageCredentialProviderBinDir?: string | undefined;
  readonly kubelet?: Readonly<Record<string, string>> | undefined;
}

/** What is wrong in a configuration file, and what of it changes nothing; undefined when none was named. */
export async function checkConfiguration(flags: ConfigurationFlags): Promise<CheckGroup | undefined> {
  const { config, configDir, imageCredentialProviderConfig, imageCredentialProviderBinDir, kubelet = {} } = flags;
  const files = { config, configDir, imageCredentialProviderConfig, imageCredentialProviderBinDir };
  const named = [
    ...Object.values(files).filter((file) => file !== undefined),
    ...Object.keys(kubelet).map((flag) => `--${flag}`),
  ];
  if (named.length === 0) return undefined;
  return { title: 'Configuration', findings: await findingsOf({ ...files, kubelet }, named) };
}

async function findingsOf(given: ConfigurationFlags, named: readonly string[]): Promise<Finding[]> {
  try {
    const { idle } = await loadConfig(given, { hostname: hostname(), cpus: cpus().length });
    const notes = idle.map(({ path, message }): Finding => {
      return { subject: path, level: 'note', found: `has no effect: ${message}`, remedy: [] };
    });
    return [{ subject: named.join(', '), level: 'ok', found: 'understood', remedy: [] }, ...notes];
  } catch (err) {
    if (!(err instanceof ConfigError)) throw err;
    return err.failure.problems.map(({ path, message }) => ({
      subject: path,
      level: 'lack',
      found: message,
      remedy: [],
    }));
  }
}
