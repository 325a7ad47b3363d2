import type { FieldProblems } from './field-problems.js';
import type { ObjectMeta } from '../generated/types.js';
import { dnsLabel, labelValue, qualifiedName, type NameRule } from './name-rules.js';
import { fieldPath } from '../problem.js';

const maxAnnotationBytes = 256 * 1024;
/** A UID becomes part of paths and cgroup names, so a manifest must not choose it freely. */
const uidPattern = /^[A-Za-z0-9][-_A-Za-z0-9]{0,127}$/;

export function validateMetadata(
  problems: FieldProblems,
  metadata: ObjectMeta | undefined,
  options: { namespaced: boolean; name: NameRule },
): void {
  const { name = '', namespace = '', uid = '', labels = {}, annotations = {} } = metadata ?? {};
  if (name === '') {
    const generated = metadata?.generateName !== undefined && metadata.generateName !== '';
    problems.required(
      'metadata.name',
      generated ? 'generateName needs an API server; a manifest must give the name' : 'name is required',
    );
  } else {
    problems.rules('metadata.name', name, options.name(name));
  }
  if (namespace !== '') {
    if (options.namespaced) problems.rules('metadata.namespace', namespace, dnsLabel(namespace));
    else problems.forbidden('metadata.namespace', 'not allowed on this type');
  }
  if (uid !== '' && !uidPattern.test(uid)) {
    problems.invalid('metadata.uid', uid, "must consist of alphanumeric characters, '-' or '_', at most 128 of them");
  }
  validateLabels(problems, labels, 'metadata.labels');
  let size = 0;
  for (const [key, value] of Object.entries(annotations)) {
    problems.rules(fieldPath('metadata.annotations', key), key, qualifiedName(key.toLowerCase()));
    size += key.length + value.length;
  }
  if (size > maxAnnotationBytes) {
    problems.invalid('metadata.annotations', undefined, `Too long: may not be more than ${maxAnnotationBytes} bytes`);
  }
}

export function validateLabels(problems: FieldProblems, labels: Readonly<Record<string, string>>, path: string): void {
  for (const [key, value] of Object.entries(labels)) {
    const at = fieldPath(path, key);
    problems.rules(at, key, qualifiedName(key));
    problems.rules(at, value, labelValue(value));
  }
}
