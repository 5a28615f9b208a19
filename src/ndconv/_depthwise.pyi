from ndconv._method import Method

METHOD: Method
