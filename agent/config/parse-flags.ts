import { isIP } from 'node:net';
import type { Taint } from '../api/index.js';
import type { ConfigProblem } from './kubelet/index.js';

type Wrong = (problem: ConfigProblem) => void;

const effects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'];
const labelName = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const labelValue = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
/** Labels of the kubernetes.io family that a node may give itself. */
const ownLabels = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/os',
  'kubernetes.io/arch',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
  'beta.kubernetes.io/instance-type',
  'node.kubernetes.io/instance-type',
  'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
]);
const ownPrefixes = ['kubelet.kubernetes.io', 'node.kubernetes.io'];

const parts = (text: string | undefined): string[] =>
  (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

export function parseLabels(text: string | undefined, wrong: Wrong): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const part of parts(text)) {
    const at = part.indexOf('=');
    // A name alone has an empty value.
    const [name, value] = at < 0 ? [part, ''] : [part.slice(0, at).trim(), part.slice(at + 1).trim()];
    const problem =
      name === ''
        ? 'expected name=value'
        : !labelName.test(name)
          ? 'is not the name of a label'
          : !labelValue.test(value)
            ? 'is not the value of a label'
            : reserved(name);
    if (problem === undefined) labels[name] = value;
    else wrong({ path: '--node-labels', message: `${JSON.stringify(part)}: ${problem}` });
  }
  return labels;
}

function reserved(name: string): string | undefined {
  const [prefix = ''] = name.includes('/') ? name.split('/') : [];
  const isFamily = ['kubernetes.io', 'k8s.io'].some((family) => prefix === family || prefix.endsWith(`.${family}`));
  const isOwn = ownLabels.has(name) || ownPrefixes.some((own) => prefix === own || prefix.endsWith(`.${own}`));
  return isFamily && !isOwn ? 'a node may not give itself this label of the kubernetes.io family' : undefined;
}

export function parseTaints(text: string | undefined, wrong: Wrong): Taint[] {
  const taints: Taint[] = [];
  for (const part of parts(text)) {
    const match = /^([^=:]+)(?:=([^:]*))?:(\w+)$/.exec(part);
    const [, key = '', value, effect = ''] = match ?? [];
    if (!match || !labelName.test(key) || !effects.includes(effect))
      wrong({
        path: '--register-with-taints',
        message: `${JSON.stringify(part)}: expected key=value:Effect with one of ${effects.join(', ')}`,
      });
    else taints.push({ key, ...(value && { value }), effect: effect as Taint['effect'] });
  }
  return taints;
}

export function parseNodeIps(text: string | undefined, wrong: Wrong): string[] {
  const addresses = parts(text);
  const families = new Set(addresses.map((address) => isIP(address)));
  if (families.has(0)) wrong({ path: '--node-ip', message: `${JSON.stringify(text)}: expected an IP address` });
  else if (addresses.length > 2 || families.size !== addresses.length)
    wrong({ path: '--node-ip', message: 'two addresses must be of different families, and there can be no more' });
  return addresses;
}

export function parseGates(text: string | undefined, wrong: Wrong): Record<string, boolean> {
  const gates: Record<string, boolean> = {};
  for (const part of parts(text)) {
    const match = /^(\w+)=(true|false)$/i.exec(part);
    if (match?.[1]) gates[match[1]] = match[2]?.toLowerCase() === 'true';
    else wrong({ path: '--feature-gates', message: `${JSON.stringify(part)}: expected Name=true or Name=false` });
  }
  return gates;
}
