import { readdir, readFile, stat, access, constants } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { errnoOf, errorText } from '../../base/errors.js';
import { decodeFields, type ConfigProblem, type ObjectOf } from './kubelet/index.js';
import { loadYaml } from '../../base/yaml.js';

/** One exec plugin that gives credentials for the images it names (facts 11.4). */
export interface CredentialProviderConfig {
  readonly name: string;
  readonly program: string;
  readonly matchImages: readonly string[];
  readonly defaultCacheMs: number;
  readonly apiVersion: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Set when the plugin is to be given a token of the pod's service account. */
  readonly token:
    | {
        readonly audience: string;
        readonly requireServiceAccount: boolean;
        readonly cacheType: 'ServiceAccount' | 'Token';
        readonly requiredAnnotations: readonly string[];
        readonly optionalAnnotations: readonly string[];
      }
    | undefined;
}

const text = { is: 'string' } as const;
const texts = { is: 'strings' } as const;
const group = 'credentialprovider.kubelet.k8s.io';
const apiVersions = ['v1', 'v1beta1', 'v1alpha1'].map((version) => `${group}/${version}`);

const providerFields = {
  name: text,
  matchImages: texts,
  defaultCacheDuration: { is: 'duration', least: 0 },
  apiVersion: { is: 'enum', of: apiVersions },
  args: texts,
  env: { is: 'objects', fields: { name: text, value: text } },
  tokenAttributes: {
    is: 'object',
    fields: {
      serviceAccountTokenAudience: text,
      cacheType: { is: 'enum', of: ['ServiceAccount', 'Token'] },
      requireServiceAccount: { is: 'bool' },
      requiredServiceAccountAnnotationKeys: texts,
      optionalServiceAccountAnnotationKeys: texts,
    },
  },
} as const;

const fileFields = {
  apiVersion: { is: 'enum', of: ['v1', 'v1beta1', 'v1alpha1'].map((version) => `kubelet.config.k8s.io/${version}`) },
  kind: { is: 'enum', of: ['CredentialProviderConfig'] },
  providers: { is: 'objects', fields: providerFields },
} as const;

type Given = ObjectOf<typeof providerFields>;
type Wrong = (path: string, message: string) => void;

/** Reads the file, or the files of the folder, that `--image-credential-provider-config` names. All problems are told. */
export async function readCredentialProviders(
  configPath: string | undefined,
  binDir: string | undefined,
  problem: (problem: ConfigProblem) => void,
): Promise<CredentialProviderConfig[]> {
  if (configPath === undefined && binDir === undefined) return [];
  if (configPath === undefined || binDir === undefined) {
    const [missing, given] = configPath === undefined ? ['config', 'bin-dir'] : ['bin-dir', 'config'];
    const path = `--image-credential-provider-${missing}`;
    problem({ path, message: `is needed with --image-credential-provider-${given}` });
    return [];
  }
  const providers: CredentialProviderConfig[] = [];
  for (const file of await filesOf(configPath, problem)) {
    const wrong: Wrong = (path, message) => problem({ path: path === '' ? file : `${file}: ${path}`, message });
    for (const [index, given] of (await readProviders(file, wrong)).entries()) {
      const at = `providers[${index}]`;
      const provider = checked(given, binDir, (path, message) => wrong(path === '' ? at : `${at}.${path}`, message));
      if (provider && providers.some(({ name }) => name === provider.name))
        wrong(`${at}.name`, `there are two providers ${JSON.stringify(provider.name)}`);
      else if (provider) {
        const failure = await cannotRun(provider.program);
        if (failure === undefined) providers.push(provider);
        else wrong(`${at}.name`, `program ${provider.program} ${failure}`);
      }
    }
  }
  return providers;
}

async function filesOf(path: string, problem: (problem: ConfigProblem) => void): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const entries = await readdir(path, { withFileTypes: true });
    const files = entries.filter(
      (entry) => !entry.isDirectory() && ['.json', '.yaml', '.yml'].includes(extname(entry.name)),
    );
    if (files.length === 0) problem({ path, message: 'holds no *.json, *.yaml or *.yml file' });
    return files.map(({ name }) => join(path, name)).toSorted();
  } catch (err) {
    problem({ path, message: `cannot be read (${errnoOf(err) ?? errorText(err)})` });
    return [];
  }
}

async function readProviders(file: string, wrong: Wrong): Promise<readonly Given[]> {
  let root: unknown;
  try {
    const { parse } = loadYaml();
    root = parse(await readFile(file, 'utf8')) as unknown;
  } catch (err) {
    wrong('', errnoOf(err) === undefined ? (errorText(err).split('\n')[0] ?? '') : `cannot be read (${errnoOf(err)})`);
    return [];
  }
  const { value, problems } = decodeFields(fileFields, root);
  for (const { path, message } of problems) wrong(path, message);
  for (const key of ['apiVersion', 'kind'] as const)
    if (problems.length === 0 && value[key] === undefined) wrong(key, 'is missing');
  if (problems.length > 0) return [];
  if ((value.providers ?? []).length === 0) wrong('providers', 'must name at least one provider');
  return value.providers ?? [];
}

function checked(given: Given, binDir: string, wrong: Wrong): CredentialProviderConfig | undefined {
  let isGood = true;
  const bad: Wrong = (path, message) => {
    isGood = false;
    wrong(path, message);
  };
  const { name = '', matchImages = [], apiVersion, defaultCacheDuration, tokenAttributes } = given;
  if (name === '') bad('name', 'is missing');
  else if (/[/ ]/.test(name) || name === '.' || name === '..')
    bad('name', `must be the name of a program in ${binDir}, got ${JSON.stringify(name)}`);
  if (apiVersion === undefined) bad('apiVersion', 'is missing');
  if (defaultCacheDuration === undefined) bad('defaultCacheDuration', 'is missing');
  if (matchImages.length === 0) bad('matchImages', 'must name at least one pattern');
  for (const [index, pattern] of matchImages.entries())
    if (pattern.includes('://') || !URL.canParse(`https://${pattern.replaceAll(/[*?]/g, 'x')}`))
      bad(`matchImages[${index}]`, `expected a pattern such as "*.example.com/team", got ${JSON.stringify(pattern)}`);
  const token = tokenAttributes && tokenOf(tokenAttributes, apiVersion, bad);
  if (!isGood) return undefined;
  return {
    ...{ name, matchImages, token, program: join(binDir, name) },
    apiVersion: apiVersion ?? '',
    defaultCacheMs: defaultCacheDuration ?? 0,
    args: given.args ?? [],
    env: Object.fromEntries((given.env ?? []).map(({ name: key = '', value = '' }): [string, string] => [key, value])),
  };
}

function tokenOf(
  given: NonNullable<Given['tokenAttributes']>,
  apiVersion: string | undefined,
  wrong: Wrong,
): CredentialProviderConfig['token'] {
  const at = 'tokenAttributes';
  const { serviceAccountTokenAudience = '', cacheType, requireServiceAccount } = given;
  const { requiredServiceAccountAnnotationKeys: required = [], optionalServiceAccountAnnotationKeys: optional = [] } =
    given;
  if (apiVersion !== `${group}/v1`) wrong(at, `needs apiVersion ${group}/v1`);
  if (serviceAccountTokenAudience === '') wrong(`${at}.serviceAccountTokenAudience`, 'is missing');
  if (cacheType === undefined) wrong(`${at}.cacheType`, 'is missing: ServiceAccount or Token');
  if (requireServiceAccount === undefined) wrong(`${at}.requireServiceAccount`, 'is missing');
  if (requireServiceAccount === false && required.length > 0)
    wrong(`${at}.requiredServiceAccountAnnotationKeys`, 'needs requireServiceAccount: true');
  const both = required.filter((key) => optional.includes(key));
  if (both.length > 0) wrong(at, `annotation keys cannot be both required and optional: ${both.join(', ')}`);
  return {
    audience: serviceAccountTokenAudience,
    requireServiceAccount: requireServiceAccount ?? true,
    cacheType: cacheType === 'Token' ? 'Token' : 'ServiceAccount',
    requiredAnnotations: required,
    optionalAnnotations: optional,
  };
}

async function cannotRun(program: string): Promise<string | undefined> {
  try {
    await access(program, constants.X_OK);
    return (await stat(program)).isFile() ? undefined : 'is no file';
  } catch (err) {
    return errnoOf(err) === 'ENOENT' ? 'is not there' : 'is not executable';
  }
}
