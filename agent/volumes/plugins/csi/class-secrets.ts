import type { PersistentVolumeClaim } from '../../../api/index.js';
import { VolumeProblem } from '../../volume-error.js';

type Use = 'provisioner' | 'controller-publish' | 'node-stage' | 'node-publish' | 'controller-expand' | 'node-expand';

/** The Secrets that a storage class names for the calls about one volume. */
export type ClassSecrets = Readonly<Partial<Record<Use, NamedSecret>>>;

interface NamedSecret {
  readonly name: string;
  readonly namespace: string;
}

const prefix = 'csi.storage.k8s.io/';
const uses: readonly Use[] = [
  'provisioner',
  'controller-publish',
  'node-stage',
  'node-publish',
  'controller-expand',
  'node-expand',
];
const known = new Set(['fstype', ...uses.flatMap((use) => [`${use}-secret-name`, `${use}-secret-namespace`])]);

type Words = ReadonlyMap<string, string>;

/** What the external provisioner makes of the class's parameters: names with `${pvc.name}` and the like filled in. */
export function classSecrets(
  parameters: Readonly<Record<string, string>>,
  claim: PersistentVolumeClaim,
  volumeName: string,
): ClassSecrets {
  for (const key of Object.keys(parameters))
    if (key.startsWith(prefix) && !known.has(key.slice(prefix.length)))
      throw new VolumeProblem('refused', `found unknown parameter key "${key}" of the storage class`);
  const { name = '', namespace = 'default', annotations = {} } = claim.metadata ?? {};
  const forNamespaces = new Map([
    ['pv.name', volumeName],
    ['pvc.namespace', namespace],
  ]);
  const forNames = new Map([...forNamespaces, ['pvc.name', name]]);
  const noted = Object.entries(annotations).map(([key, value]): [string, string] => [
    `pvc.annotations['${key}']`,
    value,
  ]);
  const found = uses.flatMap((use): [Use, NamedSecret][] => {
    // A volume is deleted when its claim is gone: what is needed then must not hang on the claim's annotations.
    const words = use === 'provisioner' ? forNames : new Map([...forNames, ...noted]);
    const secret = reference(parameters, use, words, forNamespaces);
    return secret ? [[use, secret]] : [];
  });
  return Object.fromEntries(found);
}

function reference(
  parameters: Readonly<Record<string, string>>,
  use: Use,
  forNames: Words,
  forNamespaces: Words,
): NamedSecret | undefined {
  const [nameKey, namespaceKey] = [`${prefix}${use}-secret-name`, `${prefix}${use}-secret-namespace`];
  const { [nameKey]: name, [namespaceKey]: namespace } = parameters;
  if (name === undefined && namespace === undefined) return undefined;
  if (!name || !namespace)
    throw new VolumeProblem('refused', `the storage class must have both ${nameKey} and ${namespaceKey}, or neither`);
  return {
    name: filled(nameKey, name, forNames, /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/),
    namespace: filled(namespaceKey, namespace, forNamespaces, /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/),
  };
}

function filled(key: string, template: string, words: Words, valid: RegExp): string {
  const text = template.replaceAll(/\$\{([^}]*)\}/g, (_, word: string) => {
    const value = words.get(word);
    if (value === undefined)
      throw new VolumeProblem(
        'refused',
        `parameter ${key} of the storage class: \${${word}} in "${template}" stands for nothing here`,
      );
    return value;
  });
  if (!valid.test(text))
    throw new VolumeProblem('refused', `parameter ${key} of the storage class: "${text}" is no valid name`);
  return text;
}
