import { z } from 'zod';
import { loadYaml } from '../../base/yaml.js';
import { errorText } from '../../base/errors.js';
import { CdiError } from './cdi-error.js';
import { deviceNameProblem, kindProblem } from './qualified-name.js';

const envEntry = z.string().regex(/^[^=]+=/, 'must read NAME=value');
const uint32 = z.int().min(0).max(0xffffffff);

const deviceNode = z.strictObject({
  path: z.string().min(1),
  hostPath: z.string().optional(),
  type: z.enum(['', 'b', 'c', 'u', 'p']).optional(),
  major: z.int().optional(),
  minor: z.int().optional(),
  fileMode: z.int().optional(),
  permissions: z
    .string()
    .regex(/^([rwm]*|none)$/, 'must be some of r, w, m, or none')
    .optional(),
  uid: uint32.optional(),
  gid: uint32.optional(),
});
const mount = z.strictObject({
  hostPath: z.string().min(1),
  containerPath: z.string().min(1),
  type: z.string().optional(),
  options: z.array(z.string()).nullish(),
});
export const hookNames = [
  'prestart',
  'createRuntime',
  'createContainer',
  'startContainer',
  'poststart',
  'poststop',
] as const;
const hook = z.strictObject({
  hookName: z.enum(hookNames),
  path: z.string().min(1),
  args: z.array(z.string()).nullish(),
  env: z.array(envEntry).nullish(),
  timeout: z.int().optional(),
});
const intelRdt = z.strictObject({
  closID: z
    .string()
    .refine((id) => id === '/' || (id.length < 4096 && id !== '.' && id !== '..' && !/[/\n]/.test(id)), 'no file name')
    .optional(),
  l3CacheSchema: z.string().optional(),
  memBwSchema: z.string().optional(),
  schemata: z.array(z.string()).nullish(),
  enableMonitoring: z.boolean().optional(),
});
const netDevice = z.strictObject({ hostInterfaceName: z.string().min(1), name: z.string().min(1) });

const containerEdits = z.strictObject({
  env: z.array(envEntry).nullish(),
  deviceNodes: z.array(deviceNode).nullish(),
  netDevices: z.array(netDevice).nullish(),
  hooks: z.array(hook).nullish(),
  mounts: z.array(mount).nullish(),
  intelRdt: intelRdt.nullish(),
  additionalGids: z.array(uint32).nullish(),
});
const annotations = z.record(z.string(), z.string()).nullish();
const cdiSpec = z.strictObject({
  cdiVersion: z.string(),
  kind: z.string(),
  annotations,
  devices: z
    .array(z.strictObject({ name: z.string(), annotations, containerEdits: containerEdits.default({}) }))
    .min(1, 'at least one device is needed'),
  containerEdits: containerEdits.default({}),
});

export type CdiSpec = z.infer<typeof cdiSpec>;
export type ContainerEdits = z.infer<typeof containerEdits>;
export type CdiDeviceNode = z.infer<typeof deviceNode>;
export type HookName = (typeof hookNames)[number];

/** Oldest first. */
const versions = ['0.1.0', '0.2.0', '0.3.0', '0.4.0', '0.5.0', '0.6.0', '0.7.0', '0.8.0', '1.0.0', '1.1.0'];

/** Throws `CdiError` that says what is wrong and where. */
export function parseCdiSpec(text: string, format: 'json' | 'yaml'): CdiSpec {
  let value: unknown;
  try {
    // YAML 1.1, as the writers of these files have it: 0666 is octal.
    value = format === 'json' ? JSON.parse(text) : loadYaml().parse(text, { version: '1.1' });
  } catch (err) {
    throw new CdiError(`parse as ${format}: ${errorText(err)}`, { code: 'invalid-spec' }, { cause: err });
  }
  const parsed = cdiSpec.safeParse(value);
  const problems = parsed.success
    ? problemsOf(parsed.data)
    : parsed.error.issues.map((issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`);
  if (parsed.success && problems.length === 0) return parsed.data;
  throw new CdiError(problems.join('; '), { code: 'invalid-spec' });
}

function problemsOf(spec: CdiSpec): readonly string[] {
  const problems: string[] = [];
  const version = versions.indexOf(spec.cdiVersion.replace(/^v/, ''));
  const needed = neededVersion(spec);
  if (version < 0) problems.push(`cdiVersion: "${spec.cdiVersion}" is no version of the specification`);
  else if (version < versions.indexOf(needed)) {
    problems.push(`cdiVersion: ${spec.cdiVersion}, and what it uses came with ${needed}`);
  }
  const kind = kindProblem(spec.kind);
  if (kind !== undefined) problems.push(kind);
  const seen = new Set<string>();
  for (const [at, device] of spec.devices.entries()) {
    const name = deviceNameProblem(device.name);
    if (name !== undefined) problems.push(`devices.${at}.${name}`);
    if (seen.has(device.name)) problems.push(`devices.${at}: "${device.name}" is there twice`);
    seen.add(device.name);
  }
  return problems;
}

/** The first version that has all that is used; a file that claims an older one was not written for what it says. */
function neededVersion(spec: CdiSpec): string {
  const edits = [spec.containerEdits, ...spec.devices.map((device) => device.containerEdits)];
  const some = (uses: (edit: ContainerEdits) => boolean): boolean => edits.some(uses);
  const any = (list: { readonly length: number } | null | undefined): boolean => (list?.length ?? 0) > 0;
  if (
    some((edit) => any(edit.netDevices) || edit.intelRdt?.schemata != null || edit.intelRdt?.enableMonitoring === true)
  )
    return '1.1.0';
  if (some((edit) => edit.intelRdt != null || any(edit.additionalGids))) return '0.7.0';
  const annotated = [spec, ...spec.devices].some((each) => Object.keys(each.annotations ?? {}).length > 0);
  if (annotated || (spec.kind.split('/')[1] ?? '').includes('.')) return '0.6.0';
  if (
    spec.devices.some((device) => /^[0-9]/.test(device.name)) ||
    some((edit) => (edit.deviceNodes ?? []).some((node) => (node.hostPath ?? '') !== ''))
  )
    return '0.5.0';
  if (some((edit) => (edit.mounts ?? []).some((each) => (each.type ?? '') !== ''))) return '0.4.0';
  return '0.3.0';
}
