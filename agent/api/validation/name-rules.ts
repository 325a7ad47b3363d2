import { isIP } from 'node:net';

/** Each rule returns what is wrong with a text, in Kubernetes' words; nothing when it is right. */
export type NameRule = (value: string) => string[];

const label = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const labelPattern = new RegExp(`^${label}$`);
const subdomainPattern = new RegExp(`^${label}(\\.${label})*$`);
const underscoreLabel = '[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?';
const underscoreSubdomainPattern = new RegExp(`^${underscoreLabel}(\\.${underscoreLabel})*$`);
const qualifiedPart = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

const labelText =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name', or '123-abc')";
const subdomainText =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com')";

function tooLong(value: string, most: number): string[] {
  return value.length > most ? [`must be no more than ${most} characters`] : [];
}

function matching(value: string, pattern: RegExp, text: string, most: number): string[] {
  const long = tooLong(value, most);
  return long.length > 0 || pattern.test(value) ? long : [text];
}

export const dnsLabel: NameRule = (value) => matching(value, labelPattern, labelText, 63);

export const dnsSubdomain: NameRule = (value) => matching(value, subdomainPattern, subdomainText, 253);

/** Search domains may hold underscores: resolvers use such names. */
export const dnsSearchDomain: NameRule = (value) =>
  matching(value, underscoreSubdomainPattern, subdomainText.replace("'-' or '.'", "'-', '_' or '.'"), 253);

/** RFC 1035: a name that becomes a DNS name of its own, such as a Service's, starts with a letter. */
export const dnsLabelStartingWithLetter: NameRule = (value) =>
  matching(
    value,
    /^[a-z]([-a-z0-9]*[a-z0-9])?$/,
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name', or 'abc-123')",
    63,
  );

/** `name` or `prefix.example.com/name`: label and annotation keys, resource names. */
export const qualifiedName: NameRule = (value) => {
  const parts = value.split('/');
  if (parts.length > 2) return ["a qualified name must be 'name' or 'prefix/name'"];
  const name = parts.at(-1) ?? '';
  const prefix = parts.length === 2 ? parts[0] : undefined;
  const problems: string[] = [];
  if (prefix !== undefined) {
    if (prefix === '') problems.push('prefix part must be non-empty');
    else problems.push(...dnsSubdomain(prefix).map((rule) => `prefix part ${rule}`));
  }
  if (name === '') problems.push('name part must be non-empty');
  else {
    const text =
      "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc')";
    problems.push(...matching(name, qualifiedPart, text, 63).map((rule) => `name part ${rule}`));
  }
  return problems;
};

export const labelValue: NameRule = (value) =>
  value === ''
    ? []
    : matching(
        value,
        qualifiedPart,
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345')",
        63,
      );

/** Keys of ConfigMaps and Secrets become file names. */
export const configKey: NameRule = (value) => {
  const problems = matching(
    value,
    /^[-._a-zA-Z0-9]+$/,
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name')",
    253,
  );
  if (value === '.' || value === '..') return [`must not be '${value}'`];
  return value.startsWith('..') ? [...problems, "must not start with '..'"] : problems;
};

/** Any printable ASCII but `=`. */
export const envName: NameRule = (value) => {
  if (value === '') return ['environment variable name must not be empty'];
  if (value.includes('=')) return ["a valid environment variable name must not contain '='"];
  return /^[ -~]+$/.test(value) ? [] : ['a valid environment variable name must consist of printable ASCII characters'];
};

/** An IANA service name: the name of a port. */
export const portName: NameRule = (value) => {
  const problems = value.length > 15 ? ['must be no more than 15 characters'] : [];
  if (!/^[-a-z0-9]+$/.test(value))
    problems.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  if (!/[a-z]/.test(value)) problems.push('must contain at least one letter (a-z)');
  if (value.includes('--')) problems.push('must not contain consecutive hyphens');
  if (value.startsWith('-') || value.endsWith('-')) problems.push('must not begin or end with a hyphen');
  return problems;
};

export function portNumber(value: number): string[] {
  return value >= 1 && value <= 65_535 ? [] : ['must be between 1 and 65535, inclusive'];
}

export const httpHeaderName: NameRule = (value) =>
  /^[-A-Za-z0-9!#$%&'*+.^_`|~]+$/.test(value)
    ? []
    : ["a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name')"];

export const ipAddress: NameRule = (value) =>
  isIP(value) === 0 ? ['must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'] : [];

const sysctlText = '^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$';
const sysctlPattern = new RegExp(sysctlText);

export const sysctlName: NameRule = (value) =>
  value.length <= 253 && sysctlPattern.test(value)
    ? []
    : [`must have at most 253 characters and match regex ${sysctlText}`];

/** A path below a volume: not absolute and never upwards. */
export const descendingPath: NameRule = (value) => {
  const problems = value.startsWith('/') ? ['must be a relative path'] : [];
  return [...problems, ...noBacksteps(value)];
};

export const noBacksteps: NameRule = (value) => (value.split('/').includes('..') ? ["must not contain '..'"] : []);

/** As `descendingPath`, for files the agent writes: names that start with `..` are its own. */
export const volumeFilePath: NameRule = (value) => {
  const problems = descendingPath(value);
  return value.startsWith('..') && !value.startsWith('../') && value !== '..'
    ? [...problems, "must not start with '..'"]
    : problems;
};
