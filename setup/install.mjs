// What the checks need: the npm packages of the lock file, installed once.
import { installNpmPackages } from './prepare.mjs';

installNpmPackages();
