#!/usr/bin/env node
/**
 * Writes generated/types.ts and generated/schema.ts from Kubernetes' OpenAPI v2 description. Run by hand when the
 * supported Kubernetes version moves:
 *
 *   node agent/api/generate.mjs swagger.json 1.36
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';

/** What the agent reads or writes; everything these refer to follows, and so do their lists. */
const roots = [
  'core.v1.Pod',
  'core.v1.PodTemplate',
  'core.v1.ConfigMap',
  'core.v1.Secret',
  'core.v1.Node',
  'core.v1.Event',
  'core.v1.Service',
  'core.v1.PersistentVolume',
  'core.v1.PersistentVolumeClaim',
  'core.v1.ServiceAccount',
  'core.v1.Namespace',
  'coordination.v1.Lease',
  'storage.v1.CSINode',
  'storage.v1.CSIDriver',
  'storage.v1.VolumeAttachment',
  'storage.v1.StorageClass',
  'node.v1.RuntimeClass',
  'scheduling.v1.PriorityClass',
  'resource.v1.ResourceClaim',
  'resource.v1.ResourceClaimTemplate',
  'resource.v1.ResourceSlice',
  'resource.v1.DeviceClass',
  'authentication.v1.TokenRequest',
  'authentication.v1.TokenReview',
  'authorization.v1.SubjectAccessReview',
  'certificates.v1.CertificateSigningRequest',
  'certificates.v1beta1.ClusterTrustBundle',
].map((name) => `io.k8s.api.${name}`);
const machinery = 'io.k8s.apimachinery.pkg';
const metaRoots = ['DeleteOptions', 'Status', 'WatchEvent'].map((name) => `${machinery}.apis.meta.v1.${name}`);

/** Two definitions with one short name: the one the agent meets less gets the longer name. */
const renames = {
  'io.k8s.api.core.v1.ResourceClaim': 'ContainerResourceClaim',
  'io.k8s.api.storage.v1.TokenRequest': 'CSITokenRequest',
};

const atoms = {
  [`${machinery}.api.resource.Quantity`]: 'q',
  [`${machinery}.util.intstr.IntOrString`]: 'x',
  [`${machinery}.apis.meta.v1.Time`]: 't',
  [`${machinery}.apis.meta.v1.MicroTime`]: 't',
  [`${machinery}.apis.meta.v1.FieldsV1`]: 'a',
  [`${machinery}.runtime.RawExtension`]: 'a',
};

const atomTypes = {
  s: 'string',
  b: 'boolean',
  i: 'number',
  l: 'number',
  d: 'number',
  y: 'string',
  t: 'string',
  q: 'Quantity',
  x: 'IntOrString',
  a: 'unknown',
};

const pull = 'Always|IfNotPresent|Never';
const restart = 'Always|OnFailure|Never';
const effect = 'NoSchedule|PreferNoSchedule|NoExecute';
const profile = 'Unconfined|RuntimeDefault|Localhost';
const truth = 'True|False|Unknown';
const accessModes = 'ReadWriteOnce|ReadOnlyMany|ReadWriteMany|ReadWriteOncePod';
const volumeMode = 'Filesystem|Block';

/** The OpenAPI description carries no enumerations; these are the closed sets the API server checks. */
const enums = {
  'PodSpec.restartPolicy': restart,
  'PodSpec.dnsPolicy': 'ClusterFirst|ClusterFirstWithHostNet|Default|None',
  'PodSpec.preemptionPolicy': 'PreemptLowerPriority|Never',
  'PodOS.name': 'linux|windows',
  'Container.restartPolicy': restart,
  'Container.imagePullPolicy': pull,
  'EphemeralContainer.imagePullPolicy': pull,
  'ImageVolumeSource.pullPolicy': pull,
  'Container.terminationMessagePolicy': 'File|FallbackToLogsOnError',
  'EphemeralContainer.terminationMessagePolicy': 'File|FallbackToLogsOnError',
  'ContainerPort.protocol': 'TCP|UDP|SCTP',
  'ServicePort.protocol': 'TCP|UDP|SCTP',
  'ContainerResizePolicy.restartPolicy': 'NotRequired|RestartContainer',
  'ContainerRestartRule.action': 'Restart|RestartAllContainers',
  'ContainerRestartRuleOnExitCodes.operator': 'In|NotIn',
  'HTTPGetAction.scheme': 'HTTP|HTTPS',
  'VolumeMount.mountPropagation': 'None|HostToContainer|Bidirectional',
  'VolumeMount.recursiveReadOnly': 'Disabled|IfPossible|Enabled',
  'SeccompProfile.type': profile,
  'AppArmorProfile.type': profile,
  'SecurityContext.procMount': 'Default|Unmasked',
  'PodSecurityContext.fsGroupChangePolicy': 'OnRootMismatch|Always',
  'PodSecurityContext.supplementalGroupsPolicy': 'Merge|Strict',
  'PodSecurityContext.seLinuxChangePolicy': 'MountOption|Recursive',
  'HostPathVolumeSource.type': '|DirectoryOrCreate|Directory|FileOrCreate|File|Socket|CharDevice|BlockDevice',
  'Toleration.effect': effect,
  'Taint.effect': effect,
  'Toleration.operator': 'Equal|Exists|Lt|Gt',
  'NodeSelectorRequirement.operator': 'In|NotIn|Exists|DoesNotExist|Gt|Lt',
  'LabelSelectorRequirement.operator': 'In|NotIn|Exists|DoesNotExist',
  'TopologySpreadConstraint.whenUnsatisfiable': 'DoNotSchedule|ScheduleAnyway',
  'PodStatus.phase': 'Pending|Running|Succeeded|Failed|Unknown',
  'PodStatus.qosClass': 'Guaranteed|Burstable|BestEffort',
  'PodCondition.status': truth,
  'NodeCondition.status': truth,
  'PersistentVolumeSpec.accessModes': accessModes,
  'PersistentVolumeSpec.volumeMode': volumeMode,
  'PersistentVolumeSpec.persistentVolumeReclaimPolicy': 'Retain|Delete|Recycle',
  'PersistentVolumeClaimSpec.accessModes': accessModes,
  'PersistentVolumeClaimSpec.volumeMode': volumeMode,
  'ServiceSpec.type': 'ClusterIP|NodePort|LoadBalancer|ExternalName',
  'ServiceSpec.sessionAffinity': 'None|ClientIP',
};

const [source, version] = process.argv.slice(2);
if (source === undefined || version === undefined) {
  console.error('usage: node agent/api/generate.mjs swagger.json KUBERNETES-VERSION');
  process.exit(2);
}
const swagger = JSON.parse(readFileSync(source, 'utf8'));
const definitions = swagger.definitions;

const shortName = (full) => renames[full] ?? full.slice(full.lastIndexOf('.') + 1);
const refOf = (ref) => ref.slice('#/definitions/'.length);

const used = new Map();
const usedEnums = new Set();

function visit(full) {
  const name = shortName(full);
  const other = used.get(name);
  if (other === full) return;
  if (other !== undefined) throw new Error(`${full} and ${other} are both called ${name}: add a rename`);
  const definition = definitions[full];
  if (definition === undefined) throw new Error(`no definition ${full}`);
  used.set(name, full);
  for (const property of Object.values(definition.properties ?? {})) visitProperty(property);
}

function visitProperty(property) {
  if (property.$ref !== undefined && !(refOf(property.$ref) in atoms)) visit(refOf(property.$ref));
  if (property.items !== undefined) visitProperty(property.items);
  if (typeof property.additionalProperties === 'object') visitProperty(property.additionalProperties);
}

/** The compact code of a type: an atom, `@Name`, `[item`, `{value`, or `=A|B`. */
function codeOf(property, enumeration) {
  if (property.$ref !== undefined) {
    const full = refOf(property.$ref);
    return atoms[full] ?? `@${shortName(full)}`;
  }
  switch (property.type) {
    case 'array':
      return `[${codeOf(property.items, enumeration)}`;
    case 'object':
      return property.additionalProperties === undefined ? 'a' : `{${codeOf(property.additionalProperties)}`;
    case 'string':
      return enumeration === undefined ? (property.format === 'byte' ? 'y' : 's') : `=${enumeration}`;
    case 'boolean':
      return 'b';
    case 'integer':
      return property.format === 'int64' ? 'l' : 'i';
    case 'number':
      return 'd';
    default:
      throw new Error(`unknown type ${JSON.stringify(property)}`);
  }
}

function typeOf(code) {
  switch (code[0]) {
    case '@':
      return code.slice(1);
    case '[': {
      const item = typeOf(code.slice(1));
      return item.includes(' ') ? `Array<${item}>` : `${item}[]`;
    }
    case '{':
      return `Record<string, ${typeOf(code.slice(1))}>`;
    case '=':
      return code
        .slice(1)
        .split('|')
        .map((value) => `'${value}'`)
        .join(' | ');
    default:
      return atomTypes[code];
  }
}

/** The one apiVersion and kind of a definition, undefined for those that are no object or serve many groups. */
function identityOf(definition) {
  const all = definition['x-kubernetes-group-version-kind'] ?? [];
  if (all.length !== 1) return undefined;
  const [{ group, version, kind }] = all;
  return { apiVersion: group === '' ? version : `${group}/${version}`, kind };
}

for (const root of [...roots, ...metaRoots]) {
  visit(root);
  if (`${root}List` in definitions) visit(`${root}List`);
}
if (!('List' in definitions)) {
  // v1 List is how kubectl prints and reads several objects at once; the OpenAPI description leaves it out.
  definitions.List = {
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { $ref: `#/definitions/${machinery}.apis.meta.v1.ListMeta` },
      items: { type: 'array', items: { $ref: `#/definitions/${machinery}.runtime.RawExtension` } },
    },
    required: ['items'],
    'x-kubernetes-group-version-kind': [{ group: '', version: 'v1', kind: 'List' }],
  };
  visit('List');
}

const kinds = {};
const types = {};
const interfaces = [];
for (const [name, full] of [...used].sort(([a], [b]) => (a < b ? -1 : 1))) {
  const definition = definitions[full];
  const identity = identityOf(definition);
  if (identity !== undefined && identity.kind === name) kinds[`${identity.apiVersion}/${name}`] = name;
  const required = new Set(definition.required ?? []);
  const fields = {};
  const lines = [];
  for (const [field, property] of Object.entries(definition.properties ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const enumeration = enums[`${name}.${field}`];
    if (enumeration !== undefined) usedEnums.add(`${name}.${field}`);
    const code = codeOf(property, enumeration);
    fields[field] = required.has(field) ? `!${code}` : code;
    let type = typeOf(code);
    if (identity !== undefined && field === 'apiVersion') type = `'${identity.apiVersion}'`;
    if (identity !== undefined && field === 'kind') type = `'${identity.kind}'`;
    const key = /^[A-Za-z_$][\w$]*$/.test(field) ? field : `'${field}'`;
    lines.push(required.has(field) ? `  ${key}: ${type};` : `  ${key}?: ${type} | undefined;`);
  }
  types[name] = fields;
  interfaces.push(
    lines.length === 0
      ? `export type ${name} = Record<string, never>;`
      : `export interface ${name} {\n${lines.join('\n')}\n}`,
  );
}
const unmatched = Object.keys(enums).filter((name) => !usedEnums.has(name));
if (unmatched.length > 0) throw new Error(`enumerations of fields that do not exist: ${unmatched.join(', ')}`);

const objects = Object.values(kinds)
  .filter((name) => !name.endsWith('List'))
  .sort((a, b) => (a < b ? -1 : 1));
const header = `// Generated by agent/api/generate.mjs from Kubernetes ${version}. Do not edit.\n`;
const out = new URL('generated/', import.meta.url);
mkdirSync(out, { recursive: true });
writeFileSync(
  new URL('types.ts', out),
  `${header}
/** A number with a unit suffix, as in \`500m\` or \`64Mi\`; see quantity.ts. */
export type Quantity = string | number;
export type IntOrString = number | string;

${interfaces.join('\n\n')}

/** Every object that is not a list; \`kind\` tells them apart. */
export type KubeObject =\n${objects.map((name) => `  | ${name}`).join('\n')};
`,
);
writeFileSync(
  new URL('schema.ts', out),
  `${header}
/** See schema.ts one folder up for the meaning. A string, so that loading the module costs nothing until it is parsed. */
export const schemaText =\n  '${JSON.stringify({ version, kinds, types }).replaceAll('\\', '\\\\').replaceAll("'", "\\'")}';
`,
);
console.log(`${interfaces.length} types, ${Object.keys(kinds).length} kinds`);
