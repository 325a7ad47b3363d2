import type { ConfigProblem } from './decode-fields.js';
import { parseGoDuration } from './durations.js';
import type { KubeletConfiguration } from './kubelet-configuration.js';
import { entryProblems } from './validate-amounts.js';
import { reservedMemoryProblems } from './validate-reserved-memory.js';

const reservedSets = [
  'pods',
  'system-reserved',
  'kube-reserved',
  'system-reserved-compressible',
  'kube-reserved-compressible',
  'none',
];
const signals = [
  'memory.available',
  'nodefs.available',
  'nodefs.inodesFree',
  'imagefs.available',
  'imagefs.inodesFree',
  'containerfs.available',
  'containerfs.inodesFree',
  'allocatableMemory.available',
  'pid.available',
];

const policyOptions = {
  cpuManagerPolicyOptions: [
    'full-pcpus-only',
    'distribute-cpus-across-numa',
    'align-by-socket',
    'distribute-cpus-across-cores',
    'strict-cpu-reservation',
    'prefer-align-cpus-by-uncorecache',
  ],
  topologyManagerPolicyOptions: ['prefer-closest-numa-nodes', 'max-allowable-numa-nodes'],
} as const satisfies Partial<Record<keyof KubeletConfiguration, readonly string[]>>;

/** What single fields cannot say: rules between fields, as the kubelet has them. */
export function validateKubelet(config: KubeletConfiguration): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const wrong = (path: string, message: string): void => void problems.push({ path, message });
  if (config.runOnce) wrong('runOnce', 'is no longer supported');
  if (config.imageGCLowThresholdPercent >= config.imageGCHighThresholdPercent)
    wrong(
      'imageGCLowThresholdPercent',
      `must be less than imageGCHighThresholdPercent (${config.imageGCHighThresholdPercent})`,
    );
  const { imageMaximumGCAge: oldest, imageMinimumGCAge: youngest } = config;
  if (oldest !== 0 && oldest <= youngest) wrong('imageMaximumGCAge', 'must be longer than imageMinimumGCAge, or 0');
  if ((config.userNamespaces?.idsPerPod ?? 0) % 65_536 !== 0)
    wrong('userNamespaces.idsPerPod', 'must be a multiple of 65536');
  if ((config.maxParallelImagePulls ?? 1) > 1 && config.serializeImagePulls)
    wrong('maxParallelImagePulls', 'more than 1 needs serializeImagePulls: false');
  const { imagePullCredentialsVerificationPolicy: verifies, preloadedImagesVerificationAllowlist: allowed } = config;
  if (allowed.length > 0 && verifies !== 'NeverVerifyAllowlistedImages')
    wrong(
      'preloadedImagesVerificationAllowlist',
      'needs imagePullCredentialsVerificationPolicy: NeverVerifyAllowlistedImages',
    );
  for (const [index, entry] of allowed.entries())
    if (!/^[^\s*@]+[^\s*@/](\/\*)?$/.test(entry) || /:[^/]*$/.test(entry))
      wrong(
        `preloadedImagesVerificationAllowlist[${index}]`,
        `expected an image without tag and digest, or "REGISTRY/PATH/*", got ${JSON.stringify(entry)}`,
      );
  if (config.shutdownGracePeriodCriticalPods > config.shutdownGracePeriod)
    wrong('shutdownGracePeriodCriticalPods', 'must not be longer than shutdownGracePeriod');
  if (config.shutdownGracePeriodByPodPriority.length > 0 && config.shutdownGracePeriod > 0)
    wrong('shutdownGracePeriodByPodPriority', 'excludes shutdownGracePeriod');
  for (const [index, name] of config.enforceNodeAllocatable.entries())
    if (!reservedSets.includes(name))
      wrong(
        `enforceNodeAllocatable[${index}]`,
        `expected one of ${reservedSets.join(', ')}, got ${JSON.stringify(name)}`,
      );
  for (const which of ['system', 'kube'] as const) {
    const enforced = config.enforceNodeAllocatable;
    const both = enforced.includes(`${which}-reserved`) && enforced.includes(`${which}-reserved-compressible`);
    if (both)
      wrong('enforceNodeAllocatable', `${which}-reserved and ${which}-reserved-compressible exclude each other`);
    const named = enforced.some((name) => name.startsWith(`${which}-reserved`));
    if (named && config[`${which}ReservedCgroup`] === '')
      wrong(`${which}ReservedCgroup`, `is needed to enforce ${which}-reserved`);
  }
  if (config.enforceNodeAllocatable.includes('none') && config.enforceNodeAllocatable.length > 1)
    wrong('enforceNodeAllocatable', 'none excludes everything else');
  const { systemCgroups = '' } = config;
  if (systemCgroups !== '' && config.cgroupRoot === '') wrong('systemCgroups', 'needs cgroupRoot');
  if (/^\/+$/.test(systemCgroups)) wrong('systemCgroups', 'cannot be the root of all cgroups');
  if (config.reservedSystemCPUs !== '' && (config.systemReservedCgroup !== '' || config.kubeReservedCgroup !== ''))
    wrong('reservedSystemCPUs', 'excludes systemReservedCgroup and kubeReservedCgroup');
  for (const field of ['evictionHard', 'evictionSoft', 'evictionMinimumReclaim'] as const)
    for (const signal of Object.keys(config[field] ?? {}))
      if (!signals.includes(signal))
        wrong(`${field}.${signal}`, `unknown eviction signal; known are ${signals.join(', ')}`);
  for (const signal of Object.keys(config.evictionSoft))
    if (config.evictionSoftGracePeriod[signal] === undefined)
      wrong(`evictionSoftGracePeriod.${signal}`, `is missing, and evictionSoft names ${signal}`);
  for (const [signal, text] of Object.entries(config.evictionSoftGracePeriod))
    if (parseGoDuration(text) === undefined)
      wrong(`evictionSoftGracePeriod.${signal}`, `expected a duration such as "1m30s", got ${JSON.stringify(text)}`);
  for (const [field, known] of Object.entries(policyOptions))
    for (const name of Object.keys(config[field as keyof typeof policyOptions]))
      if (!(known as readonly string[]).includes(name))
        wrong(`${field}.${name}`, `unknown option; known are ${known.join(', ')}`);
  const reservesCpu = [config.kubeReserved, config.systemReserved].some((list) => (list['cpu'] ?? '0') !== '0');
  if (config.cpuManagerPolicy === 'static' && config.reservedSystemCPUs === '' && !reservesCpu)
    wrong(
      'cpuManagerPolicy',
      'static needs CPUs that are kept for the machine: systemReserved, kubeReserved or reservedSystemCPUs',
    );
  if (config.memoryManagerPolicy === 'Static' && config.reservedMemory.length === 0)
    wrong('memoryManagerPolicy', 'Static needs reservedMemory');
  problems.push(...entryProblems(config), ...reservedMemoryProblems(config));
  if (!/^[\d,\s-]*$/.test(config.reservedSystemCPUs))
    wrong('reservedSystemCPUs', `expected a list such as "0-3,8", got ${JSON.stringify(config.reservedSystemCPUs)}`);
  if (!/^\d+(\.\d+)?([kMGTPE]i?)?$/.test(config.containerLogMaxSize))
    wrong(
      'containerLogMaxSize',
      `expected an amount such as "10Mi", got ${JSON.stringify(config.containerLogMaxSize)}`,
    );
  if (config.staticPodURL !== '' && !URL.canParse(config.staticPodURL)) wrong('staticPodURL', 'is not a URL');
  if (!config.podLogsDir.startsWith('/')) wrong('podLogsDir', 'must be an absolute path');
  return problems;
}
