'use strict';
// @backtostage/plugin-catalog-backend-module-gcp as it is published: its module, its reading of app-config.yaml, its
// provider and its transformer. Only what it calls Google with is made up here, so that 100 MB of Google's clients need not
// be installed, and `instances.list` answers what $IMPORTED says, or nothing while there is no such file.
const fs = require('node:fs');
const Module = require('node:module');

const instances = project => {
  if (!fs.existsSync(process.env.IMPORTED)) return [];
  return JSON.parse(fs.readFileSync(process.env.IMPORTED)).filter(instance => instance.project === project);
};
const STANDING_IN = {
  googleapis: {
    google: {
      auth: { getClient: async () => ({}) },
      redis: () => ({}),
      sqladmin: () => ({ instances: { list: async ({ project }) => ({ data: { items: instances(project) } }) } }),
    },
  },
  '@google-cloud/resource-manager': {},
  // It is of 2024: what it uses of Backstage has moved since.
  get '@backstage/backend-tasks'() {
    const { readSchedulerServiceTaskScheduleDefinitionFromConfig } = require('@backstage/backend-plugin-api');
    return { readTaskScheduleDefinitionFromConfig: readSchedulerServiceTaskScheduleDefinitionFromConfig };
  },
  get '@backstage/plugin-catalog-node/alpha'() {
    return require('@backstage/plugin-catalog-node');
  },
};
const load = Module._load;
Module._load = function (request, parent, ...rest) {
  const stands = Object.hasOwn(STANDING_IN, request) && parent.filename.includes('/importer/package/');
  return stands ? STANDING_IN[request] : load.call(this, request, parent, ...rest);
};
module.exports = require('../importer/package').catalogModuleGoogleSQLDatabaseEntityProvider;
